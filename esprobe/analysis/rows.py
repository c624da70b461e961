"""The rows that `esprobe.results` gives: named tuples with the columns of the views, and intervals where the views have none.

Knows names only. A list of them is what `pandas.DataFrame` takes as it is, with these names as columns.
"""

from typing import Any, NamedTuple

from esprobe.analysis.votes import Key


class ArmSummary(NamedTuple):
    """One arm with its counts. `settings`: all that identifies it besides model, method and value."""

    arm_id: int
    task: str
    model: str
    method: str
    value: float | None
    scorer: str
    model_digest: str
    problems: int
    draws: int
    rollouts: int
    correct: int
    problems_solved: int
    solvable: int
    unknown: int
    cut_off: int
    nan: int
    mean_tokens: float | None
    mean_prompt_tokens: float | None
    settings: dict[str, Any]


class PassAtK(NamedTuple):
    """pass@k of an arm with its 95% interval. `doubt`: why the interval is not trustworthy; empty where it is.

    `low` and `high` are None for a single perturbed model, `chance` and what is above it where chance is not known.
    """

    arm_id: int
    task: str
    model: str
    method: str
    value: float | None
    scorer: str
    k: int
    problems: int
    pass_at_k: float
    stderr: float | None
    low: float | None
    high: float | None
    doubt: str
    chance: float | None
    above_chance: float | None
    above_chance_low: float | None
    above_chance_high: float | None


class VoteAtK(NamedTuple):
    """How often the most frequent ballot of k draws is correct, with its 95% interval. `by`: what a ballot is.

    "value": the canonical answer; "expression": the expression that has this value, in normal form. `low` and `high` are None
    where k draws are all the models that there are; `doubt`: why the interval is missing or not trustworthy, empty where it is.
    """

    arm_id: int
    task: str
    model: str
    method: str
    value: float | None
    scorer: str
    k: int
    by: Key
    problems: int
    vote_at_k: float
    low: float | None
    high: float | None
    doubt: str


class DrawAccuracy(NamedTuple):
    """One draw over all problems of its arm; the 95% interval is over problems, of this very draw."""

    arm_id: int
    task: str
    model: str
    method: str
    value: float | None
    scorer: str
    draw: int
    seed: str | None
    problems: int
    correct: int
    accuracy: float
    low: float
    high: float
    reward: float


class CoverAtTau(NamedTuple):
    """The share of problems of which at least a share τ of the draws is correct, with its 95% interval over problems.

    `low` and `high` are None in a perturbation arm: what its models, which all problems share, add is not known at a threshold.
    """

    arm_id: int
    task: str
    model: str
    method: str
    value: float | None
    scorer: str
    tau: float
    problems: int
    cover_at_tau: float
    low: float | None
    high: float | None
    chance: float | None


class SolveCount(NamedTuple):
    """One problem in one arm: n scored draws, c of them correct."""

    arm_id: int
    task: str
    model: str
    method: str
    value: float | None
    scorer: str
    problem_id: int
    n: int
    c: int


class RolloutText(NamedTuple):
    """One rollout with its text and what the scorer says of it. `seed` is text, since many readers round large numbers."""

    arm_id: int
    task: str
    model: str
    method: str
    value: float | None
    scorer: str
    rollout_id: int
    draw: int
    seed: str | None
    sigma: float | None
    problem_id: int
    payload: Any
    text: str
    correct: bool
    reward: float
    answer: str | None
    ballot: str | None
    reason: str
    tokens: int | None
    prompt_tokens: int | None
    finish: str
    run_id: int


class RunRow(NamedTuple):
    """One invocation that produced rollouts. `state`: running, done, interrupted, failed or killed; times: UTC, ISO 8601.

    `seconds` and the rate, loading included, are None where nobody knows when it ended, since it was killed.
    """

    run_id: int
    started: str
    ended: str | None
    state: str
    message: str | None
    rollouts: int
    command: str
    seconds: float | None
    per_second: float | None
