"""The database's tables as SQLModel classes: what is kept of models, problems, arms, draws, rollouts, scores and runs.

Knows columns and keys, no behaviour. The migrations under `migrations/` build exactly these (a test compares them).
"""

from typing import Any

from sqlalchemy import JSON, Column, ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel


class Model(SQLModel, table=True):
    """A model by the content of its files; `name` is what it was called when first seen."""

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    name: str


class Problem(SQLModel, table=True):
    """One instance of a task. `solvable`, `solution` and `chance` are NULL where unknown (see `Facts`)."""

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    task: str
    payload: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    solvable: bool | None
    solution: str | None
    chance: float | None


class Arm(SQLModel, table=True):
    """One setting that rollouts are drawn from; `settings` holds all that its digest covers beside model, method and value."""

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    model_id: int = Field(foreign_key="model.id", index=True)
    method: str
    value: float | None
    settings: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


class Draw(SQLModel, table=True):
    """Draw number i of an arm. In a perturbation arm `seed` is the perturbed model's, shared by all problems."""

    __table_args__ = {"sqlite_with_rowid": False}
    arm_id: int = Field(foreign_key="arm.id", primary_key=True)
    number: int = Field(primary_key=True)
    seed: int | None


class Run(SQLModel, table=True):
    """One invocation that produced rollouts: `state` is running, done, interrupted or failed. Times are UTC, ISO 8601."""

    id: int | None = Field(default=None, primary_key=True)
    uuid: str = Field(unique=True)
    command: str
    versions: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    machine: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    started: str
    ended: str | None
    state: str
    message: str | None


class Rollout(SQLModel, table=True):
    """Arm × draw × problem: what the model wrote, how many tokens it took, why it ended (stop, length, nan, imported)."""

    __table_args__ = (
        UniqueConstraint("arm_id", "draw", "problem_id"),
        ForeignKeyConstraint(["arm_id", "draw"], ["draw.arm_id", "draw.number"]),
        Index("ix_rollout_tokens", "arm_id", "draw", "tokens"),  # mean lengths without reading the texts
    )
    id: int | None = Field(default=None, primary_key=True)
    arm_id: int
    draw: int
    problem_id: int = Field(foreign_key="problem.id")
    run_id: int = Field(foreign_key="run.id")
    tokens: int | None
    finish: str
    text: str


class Score(SQLModel, table=True):
    """Rollout × scorer. The rollout is named by its natural key, so that counting needs no look at the texts."""

    __table_args__ = (
        ForeignKeyConstraint(["arm_id", "draw", "problem_id"], ["rollout.arm_id", "rollout.draw", "rollout.problem_id"]),
        Index("ix_score_counts", "scorer", "arm_id", "problem_id", "correct"),
        {"sqlite_with_rowid": False},
    )
    scorer: str = Field(primary_key=True)
    arm_id: int = Field(primary_key=True)
    draw: int = Field(primary_key=True)
    problem_id: int = Field(primary_key=True)
    correct: bool
    reason: str
    answer: str | None
    format_reward: float
