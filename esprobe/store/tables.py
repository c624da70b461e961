"""The database's tables as SQLModel classes: what is kept of models, problems, arms, prompts, draws, rollouts, scores and runs.

Knows columns and keys, no behaviour. The migrations under `migrations/` build exactly these (a test compares them).
"""

from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel


class Model(SQLModel, table=True):
    """A model by the content of its files; `name` is what it was called when first seen, unless the user named it since.

    `folder` is where its files were last found on the machine of this database, NULL for one that is found by its name.

    A trained model has a parent, the `updates` that made it of the parent's weights, and the arm whose rollouts those come from;
    all three are NULL for any other. One that was trained elsewhere has no arm: its `updates` say how many rollouts were spent on
    it, as `training.rollouts_spent`, and have seeds and coefficients only where those are known.
    """

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    name: str
    folder: str | None
    parent_id: int | None = Field(foreign_key="model.id")
    updates: dict[str, Any] | None = Field(sa_column=Column(JSON))
    arm_id: int | None = Field(sa_column=Column(ForeignKey("arm.id", use_alter=True)))  # arms name their model: a circle


class Problem(SQLModel, table=True):
    """One instance of a task. What is known of it is NULL where unknown (see `Facts`).

    Where `chance` is known and `outcomes` is not, an older esprobe proved the facts; they are proven again when next needed.
    """

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    task: str
    payload: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    solvable: bool | None
    solution: str | None
    chance: float | None
    stratum: str | None
    outcomes: int | None


class Arm(SQLModel, table=True):
    """One setting that rollouts are drawn from; `settings` contains all that its digest covers besides model, method and value.

    `rounding` is what the dtype leaves of a perturbation: {"groups": {NAME: {"weights": count, "sigma": effective / nominal σ,
    "unchanged": share}}}, NULL where it was not measured.
    """

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    model_id: int = Field(foreign_key="model.id", index=True)
    task: str
    method: str
    value: float | None
    settings: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    rounding: dict[str, Any] | None = Field(sa_column=Column(JSON))


class Prompt(SQLModel, table=True):
    """What a problem's prompt was in an arm: `digest` is SHA-256 of its token ids, 32 hex digits."""

    __table_args__ = {"sqlite_with_rowid": False}
    arm_id: int = Field(foreign_key="arm.id", primary_key=True)
    problem_id: int = Field(foreign_key="problem.id", primary_key=True)
    digest: str


class Draw(SQLModel, table=True):
    """Draw number i of an arm. In a perturbation arm it is one perturbed model of this `seed` and `sigma`, for all problems."""

    __table_args__ = {"sqlite_with_rowid": False}
    arm_id: int = Field(foreign_key="arm.id", primary_key=True)
    number: int = Field(primary_key=True)
    seed: int | None
    sigma: float | None


class Run(SQLModel, table=True):
    """One invocation that produced rollouts: `state` is running, done, interrupted, failed or killed. Times: UTC, ISO 8601.

    `last_write` is when its last rollouts were written, NULL where there are none, and in runs of an older esprobe.
    """

    id: int | None = Field(default=None, primary_key=True)
    uuid: str = Field(unique=True)
    command: str
    versions: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    machine: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    started: str
    last_write: str | None
    ended: str | None
    state: str
    message: str | None


class Rollout(SQLModel, table=True):
    """Arm × draw × problem: what the model wrote, how many tokens it took, why it ended (stop, length, nan, imported).

    `prompt_tokens` is the length of the prompt, NULL for imported rollouts and those of older databases.
    """

    __table_args__ = (
        UniqueConstraint("arm_id", "draw", "problem_id"),
        ForeignKeyConstraint(["arm_id", "draw"], ["draw.arm_id", "draw.number"]),
        # lengths and endings without reading the texts
        Index("ix_rollout_tokens", "arm_id", "draw", "tokens", "prompt_tokens", "finish"),
    )
    id: int | None = Field(default=None, primary_key=True)
    arm_id: int
    draw: int
    problem_id: int = Field(foreign_key="problem.id")
    run_id: int = Field(foreign_key="run.id")
    tokens: int | None
    finish: str
    text: str
    prompt_tokens: int | None


class Score(SQLModel, table=True):
    """Rollout × scorer. The rollout is named by its natural key, so that counting needs no look at the texts.

    `ballot` and `expression` are what it votes for, see `Score`.
    """

    __table_args__ = (
        ForeignKeyConstraint(["arm_id", "draw", "problem_id"], ["rollout.arm_id", "rollout.draw", "rollout.problem_id"]),
        # counts and votes without reading the verdicts; a vote goes through a problem's draws in their order
        Index("ix_score_counts", "scorer", "arm_id", "problem_id", "draw", "correct", "ballot", "expression"),
        {"sqlite_with_rowid": False},
    )
    scorer: str = Field(primary_key=True)
    arm_id: int = Field(primary_key=True)
    draw: int = Field(primary_key=True)
    problem_id: int = Field(primary_key=True)
    correct: bool
    reason: str
    answer: str | None
    ballot: str | None
    reward: float
    expression: str | None
