"""Rollouts and scores by draw before problem: a unit of work is a few draws of all problems, so it now fills pages in a row.

SQLite cannot change a key in place: both tables are created again and filled, rollouts with the ids they had. The old pages stay
in the file for future rollouts.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ROLLOUT = "id, arm_id, draw, problem_id, run_id, tokens, finish, text"
SCORE = "scorer, arm_id, draw, problem_id, correct, reason, answer, format_reward"

# Indexes and triggers, the user's own as well, go with their table, and a trigger may name a table that is missing for a while.
OWN = """
SELECT type, name, sql FROM sqlite_master
WHERE sql IS NOT NULL AND name NOT IN ('ix_rollout_tokens', 'ix_score_counts')
  AND (type = 'trigger' OR type = 'index' AND tbl_name IN ('rollout', 'score'))
"""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def upgrade() -> None:
    connection = op.get_bind()
    own = connection.exec_driver_sql(OWN).all()
    for kind, name, _ in own:
        connection.exec_driver_sql(f"DROP {kind} {quoted(name)}")
    op.create_table(
        "new_rollout",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("arm_id", sa.Integer, nullable=False),
        sa.Column("draw", sa.Integer, nullable=False),
        sa.Column("problem_id", sa.Integer, sa.ForeignKey("problem.id"), nullable=False),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("run.id"), nullable=False),
        sa.Column("tokens", sa.Integer),
        sa.Column("finish", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.UniqueConstraint("arm_id", "draw", "problem_id"),
        sa.ForeignKeyConstraint(["arm_id", "draw"], ["draw.arm_id", "draw.number"]),
    )
    op.create_table(
        "new_score",
        sa.Column("scorer", sa.String, primary_key=True),
        sa.Column("arm_id", sa.Integer, primary_key=True),
        sa.Column("draw", sa.Integer, primary_key=True),
        sa.Column("problem_id", sa.Integer, primary_key=True),
        sa.Column("correct", sa.Boolean, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("answer", sa.String),
        sa.Column("format_reward", sa.Float, nullable=False),
        sa.ForeignKeyConstraint(
            ["arm_id", "draw", "problem_id"], ["new_rollout.arm_id", "new_rollout.draw", "new_rollout.problem_id"]
        ),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO new_rollout ({ROLLOUT}) SELECT {ROLLOUT} FROM rollout ORDER BY id")
    op.execute(f"INSERT INTO new_score ({SCORE}) SELECT {SCORE} FROM score ORDER BY scorer, arm_id, draw, problem_id")
    op.drop_table("score")
    op.drop_table("rollout")
    op.rename_table("new_rollout", "rollout")  # SQLite changes what refers to it
    op.rename_table("new_score", "score")
    op.create_index("ix_rollout_tokens", "rollout", ["arm_id", "draw", "tokens"])
    op.create_index("ix_score_counts", "score", ["scorer", "arm_id", "problem_id", "correct"])
    for _, _, sql in own:
        connection.exec_driver_sql(sql)
