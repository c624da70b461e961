"""Which arm's rollouts a trained model was made of. No row changes; all views are created again after a migration."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.get_bind().exec_driver_sql("ALTER TABLE model ADD COLUMN arm_id INTEGER REFERENCES arm (id)")
