"""The first schema: models, problems, arms, draws, runs, rollouts and scores."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "model",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String, nullable=False, unique=True),
        sa.Column("name", sa.String, nullable=False),
    )
    op.create_table(
        "problem",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String, nullable=False, unique=True),
        sa.Column("task", sa.String, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("solvable", sa.Boolean),
        sa.Column("solution", sa.String),
        sa.Column("chance", sa.Float),
    )
    op.create_table(
        "arm",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String, nullable=False, unique=True),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("model.id"), nullable=False, index=True),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("settings", sa.JSON, nullable=False),
    )
    op.create_table(
        "draw",
        sa.Column("arm_id", sa.Integer, sa.ForeignKey("arm.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("seed", sa.Integer),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uuid", sa.String, nullable=False, unique=True),
        sa.Column("command", sa.String, nullable=False),
        sa.Column("versions", sa.JSON, nullable=False),
        sa.Column("machine", sa.JSON, nullable=False),
        sa.Column("started", sa.String, nullable=False),
        sa.Column("ended", sa.String),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("message", sa.String),
    )
    op.create_table(
        "rollout",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("arm_id", sa.Integer, nullable=False),
        sa.Column("draw", sa.Integer, nullable=False),
        sa.Column("problem_id", sa.Integer, sa.ForeignKey("problem.id"), nullable=False),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("run.id"), nullable=False),
        sa.Column("tokens", sa.Integer),
        sa.Column("finish", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.UniqueConstraint("arm_id", "problem_id", "draw"),
        sa.ForeignKeyConstraint(["arm_id", "draw"], ["draw.arm_id", "draw.number"]),
        sa.Index("ix_rollout_tokens", "arm_id", "tokens"),
    )
    op.create_table(
        "score",
        sa.Column("scorer", sa.String, primary_key=True),
        sa.Column("arm_id", sa.Integer, primary_key=True),
        sa.Column("problem_id", sa.Integer, primary_key=True),
        sa.Column("draw", sa.Integer, primary_key=True),
        sa.Column("correct", sa.Boolean, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("answer", sa.String),
        sa.Column("format_reward", sa.Float, nullable=False),
        sa.ForeignKeyConstraint(["arm_id", "problem_id", "draw"], ["rollout.arm_id", "rollout.problem_id", "rollout.draw"]),
        sa.Index("ix_score_counts", "scorer", "arm_id", "problem_id", "correct"),
        sqlite_with_rowid=False,
    )
