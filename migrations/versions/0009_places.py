"""Where a model's folder is, apart from what it is called, and when a run last wrote rollouts.

A model in a folder was called by the folder's whole path; it is called by its last part now, and the path is kept beside it. All
views are created again after a migration.
"""

from pathlib import PurePath

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql("ALTER TABLE run ADD COLUMN last_write VARCHAR")
    connection.exec_driver_sql("ALTER TABLE model ADD COLUMN folder VARCHAR")
    for model, name in connection.exec_driver_sql("SELECT id, name FROM model WHERE name LIKE '/_%'").all():
        last = PurePath(name).name or name
        if last.rpartition("@")[2].isdecimal():
            last = last.replace("@", "-")  # NAME@ITERATION is a trained model's name
        connection.exec_driver_sql("UPDATE model SET name = ?, folder = ? WHERE id = ?", (last, name, model))
