"""Rollouts and scores by draw before problem: a unit of work is a few draws of all problems, so it now fills pages in a row.

SQLite cannot change a key in place: both tables are made anew and filled, rollouts with the ids they had.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ROLLOUT = "id, arm_id, draw, problem_id, run_id, tokens, finish, text"
SCORE = "scorer, arm_id, draw, problem_id, correct, reason, answer, format_reward"


def upgrade() -> None:
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
