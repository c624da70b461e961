"""Ballots and rewards of verdicts, prompts and their lengths, strata and outcomes of problems, rounding of arms, trained models.

No table with rollouts or scores is copied: columns are added or renamed in place. `reward` begins as the published format reward
and the verdict give it; what today's scorers say of the stored texts follows after the migrations (`store.upgrade_scores`).
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

FIRST_TASK = "countdown"  # the only one there was
TRIGGERS = "SELECT 'trigger', name, sql FROM sqlite_master WHERE type = 'trigger'"
INDEXES = "SELECT 'index', name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = 'arm'"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def set_aside(connection: sa.Connection, found: str) -> list[str]:
    """Drops what the query finds, the user's own as well; returns the statements that make it again."""
    rows = connection.exec_driver_sql(found).all()
    for kind, name, _ in rows:
        connection.exec_driver_sql(f"DROP {kind} {quoted(name)}")
    return [sql for _, _, sql in rows]


def rename_reward(connection: sa.Connection) -> list[str]:
    """Renames the column, in indexes and triggers too, and sets the triggers aside; returns the statements that make them again.

    SQLite refuses to rename where any trigger names what does not exist, used or not: then they stay as they are written.
    """
    rename = "ALTER TABLE score RENAME COLUMN format_reward TO reward"
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(rename)
        return set_aside(connection, TRIGGERS)
    except sa.exc.OperationalError:
        own = set_aside(connection, TRIGGERS)
        connection.exec_driver_sql(rename)
        return own


def task_of(settings: Any) -> str:
    """The task that an arm's settings name; they may contain anything that esprobe has not written."""
    try:
        found = json.loads(settings).get("task")
    except (TypeError, ValueError, AttributeError, RecursionError):
        found = None
    return found if isinstance(found, str) else FIRST_TASK


def stratum_and_sign(payload: Any) -> tuple[str | None, bool]:
    """How many numbers a Countdown problem has, and whether its target is negative; (None, False) where that cannot be read."""
    try:
        found = json.loads(payload)
        count, negative = len(found["numbers"]), str(found["target"]).startswith("-")
    except (TypeError, ValueError, KeyError, RecursionError):
        return None, False
    return f"{count} number{'' if count == 1 else 's'}", negative


def upgrade() -> None:
    connection = op.get_bind()
    own = rename_reward(connection)
    own += set_aside(connection, INDEXES)

    op.add_column("score", sa.Column("ballot", sa.String))
    op.execute("UPDATE score SET reward = (correct + 0.1 * reward) / 1.1")

    op.add_column("model", sa.Column("updates", sa.JSON))
    connection.exec_driver_sql("ALTER TABLE model ADD COLUMN parent_id INTEGER REFERENCES model (id)")

    op.add_column("problem", sa.Column("stratum", sa.String))
    op.add_column("problem", sa.Column("outcomes", sa.Integer))
    problems = connection.exec_driver_sql("SELECT id, payload FROM problem WHERE task = ?", (FIRST_TASK,)).all()
    for problem_id, payload in problems:
        stratum, negative = stratum_and_sign(payload)
        # the proof that nothing reaches a negative target left out expressions that begin with a sign, so it is none
        solvable = "CASE WHEN solvable THEN solvable END" if negative else "solvable"
        connection.exec_driver_sql(f"UPDATE problem SET stratum = ?, solvable = {solvable} WHERE id = ?", (stratum, problem_id))

    # A column that is never NULL cannot be added without a default, so this small table is made again.
    op.create_table(
        "new_arm",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String, nullable=False, unique=True),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("model.id"), nullable=False),
        sa.Column("task", sa.String, nullable=False),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("rounding", sa.JSON),
    )
    for *row, settings in connection.exec_driver_sql("SELECT id, digest, model_id, method, value, settings FROM arm").all():
        connection.exec_driver_sql(
            "INSERT INTO new_arm (id, digest, model_id, method, value, settings, task) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*row, settings, task_of(settings)),
        )
    op.drop_table("arm")
    op.rename_table("new_arm", "arm")

    op.add_column("draw", sa.Column("sigma", sa.Float))
    op.execute(
        "UPDATE draw SET sigma = (SELECT value FROM arm WHERE id = arm_id) "
        "WHERE arm_id IN (SELECT id FROM arm WHERE method = 'perturbation')"
    )

    op.add_column("rollout", sa.Column("prompt_tokens", sa.Integer))
    op.drop_index("ix_rollout_tokens", "rollout")
    op.create_index("ix_rollout_tokens", "rollout", ["arm_id", "draw", "tokens", "prompt_tokens", "finish"])

    op.create_table(
        "prompt",
        sa.Column("arm_id", sa.Integer, sa.ForeignKey("arm.id"), primary_key=True),
        sa.Column("problem_id", sa.Integer, sa.ForeignKey("problem.id"), primary_key=True),
        sa.Column("digest", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )
    for sql in own:
        connection.exec_driver_sql(sql)
