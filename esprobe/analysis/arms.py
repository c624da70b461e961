"""The arms of a database with their pass@k and 95% intervals, read from the views.

Knows the views and the statistics, no model and no layout. Computes nothing that a view holds.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from typing import Any

from esprobe.analysis.baselines import Tried
from esprobe.analysis.reading import query
from esprobe.errors import UserError
from esprobe.methods import NAMES, named, place
from esprobe.stats.estimator import pass_at_k
from esprobe.stats.intervals import Cell, Interval, SharedDraws, share_interval, shared_draws, variance_over_problems
from esprobe.stats.nulls import over_guessing
from esprobe.stats.paired import Difference


@dataclass(frozen=True)
class Filter:
    """Which arms a report, its plots and comparisons show; empty is all. `model` matches a part of the name."""

    scorer: str = "countdown"
    model: str | None = None
    methods: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    task: str | None = None
    arms: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Raises UserError for a method that there is not."""
        for method in self.methods:
            if method not in NAMES:
                raise UserError(f"there is no method {method!r}; methods: {', '.join(NAMES)}")

    def passes(self, arm: "ArmRow") -> bool:
        """Whether the arm is shown."""
        return (
            (self.model is None or self.model.lower() in arm.model.lower())
            and (not self.methods or arm.method in self.methods)
            and (not self.values or arm.value in self.values)
            and (self.task is None or arm.task == self.task)
            and (not self.arms or arm.arm_id in self.arms)
        )


@dataclass(frozen=True)
class AtK:
    """One row of the view `pass_at_k`: the mean over `problems` problems, its standard error, and chance at the same k.

    `shared` is what perturbed models add to the squared standard error; None where every problem has draws of its own.
    """

    k: int
    problems: int
    pass_at_k: float
    stderr: float | None
    chance: float | None
    shared: SharedDraws | None = None

    @cached_property
    def interval(self) -> Interval | None:
        """The 95% interval, over problems and over the models that they share; None for a single perturbed model."""
        variance = None if self.stderr is None else self.stderr**2
        return share_interval(self.pass_at_k, variance, self.problems, self.shared)


@dataclass(frozen=True)
class ArmRow:
    """One row of the view `arm_summary`, with its pass@k by k."""

    arm_id: int
    task: str
    model: str
    model_digest: str  # two models may bear one name
    method: str
    value: float | None
    problems: int
    draws: int
    rollouts: int
    correct: int
    problems_solved: int
    mean_tokens: float | None
    mean_prompt_tokens: float | None
    cut_off: int  # rollouts that ended at the limit of tokens
    nan: int  # rollouts that ended because the model's output was no number
    solvable: int  # problems proven so
    unknown: int  # problems proven neither solvable nor impossible
    settings: dict[str, Any]
    rounding: dict[str, Any] | None  # what the weights' dtype leaves of σ, by group of weights
    at: dict[int, AtK]

    @property
    def shares_draws(self) -> bool:
        """Whether a draw is one perturbed model that answers all problems."""
        return named(self.method).shares_draws


def load_arms(
    connection: sqlite3.Connection, chosen: Filter, ks: Sequence[int] = (), only: Sequence[int] | None = None
) -> list[ArmRow]:
    """The arms that pass the filter, ordered by model, method and value. Raises UserError if there are none.

    `ks` beyond those of the view (1, 2, 4, … and n) are computed from the view `solved` by the same estimator.
    `only`: the k whose intervals are needed, since shared draws take time to count; all without it.
    """
    _, curve = query(
        connection,
        "SELECT arm_id, k, problems, pass_at_k, stderr, chance FROM pass_at_k WHERE scorer = ?",
        [chosen.scorer],
    )
    at: dict[int, dict[int, AtK]] = {}
    for arm_id, *rest in curve:
        at.setdefault(arm_id, {})[rest[0]] = AtK(*rest)
    columns, rows = query(
        connection,
        "SELECT s.arm_id, s.task, s.model, model.digest AS model_digest, s.method, s.value, s.problems, s.draws, s.rollouts, "
        "s.correct, s.problems_solved, s.mean_tokens, s.mean_prompt_tokens, s.cut_off, s.nan, s.solvable, s.unknown, s.settings, "
        "arm.rounding "
        "FROM arm_summary AS s JOIN arm ON arm.id = s.arm_id JOIN model ON model.id = arm.model_id WHERE s.scorer = ? "
        "ORDER BY s.value, s.arm_id",
        [chosen.scorer],
    )
    arms = []
    for row in rows:
        fields = dict(zip(columns, row, strict=True))
        fields["settings"] = json.loads(fields["settings"])
        fields["rounding"] = json.loads(fields["rounding"] or "null")
        arms.append(ArmRow(**fields, at=at[fields["arm_id"]]))
    arms.sort(key=lambda arm: (arm.model, arm.model_digest, arm.task, place(arm.method)))  # stable: then by value
    if not arms:
        raise UserError(f"no rollouts scored by {chosen.scorer!r} yet; run `esprobe sample-temp`, or `esprobe score --scorer …`")
    for arm_id in chosen.arms:
        if arm_id not in at:
            raise UserError(f"there is no arm {arm_id} here; `esprobe report --format csv` shows arm_id")
    arms = [arm for arm in arms if chosen.passes(arm)]
    if not arms:
        raise UserError("no arm passes these filters; `esprobe report` without filters shows what there is")
    for arm in arms:
        for k in ks:
            if k <= arm.draws and k not in arm.at:
                arm.at[k] = _compute(connection, chosen.scorer, arm.arm_id, k)
        if arm.shares_draws:
            _add_shared_draws(connection, chosen.scorer, arm, [k for k in arm.at if only is None or k in only])
    return arms


def _add_shared_draws(connection: sqlite3.Connection, scorer: str, arm: ArmRow, ks: Sequence[int]) -> None:
    """In a perturbation arm a draw is one perturbed model for all problems, so its luck does not average out over problems."""
    if not ks:
        return
    _, cells = query(connection, "SELECT n, c FROM solved WHERE scorer = ? AND arm_id = ?", [scorer, arm.arm_id])
    _, rows = query(
        connection,
        "WITH cell AS (SELECT problem_id, n, c FROM solved WHERE scorer = ?1 AND arm_id = ?2) "
        "SELECT draw, n, c, count(*) FROM cell CROSS JOIN score USING (problem_id) "
        "WHERE scorer = ?1 AND arm_id = ?2 AND correct = 1 GROUP BY draw, n, c",
        [scorer, arm.arm_id],
    )
    correct: dict[int, list[tuple[int, int, int]]] = {}
    ranks = draw_ranks(connection, arm.arm_id)
    for draw, *solved in rows:
        correct.setdefault(ranks[draw], []).append(tuple(solved))
    for k in ks:
        arm.at[k] = replace(arm.at[k], shared=shared_draws([Cell(n, c) for n, c in cells], correct, k))


def draw_ranks(connection: sqlite3.Connection, arm_id: int) -> dict[int, int]:
    """Draw number → its place among the arm's draws, from 0: the draws of imported rollouts may be numbered from anywhere."""
    _, rows = query(connection, "SELECT number FROM draw WHERE arm_id = ? ORDER BY number", [arm_id])
    return {number: rank for rank, (number,) in enumerate(rows)}


def _compute(connection: sqlite3.Connection, scorer: str, arm_id: int, k: int) -> AtK:
    """What the view `pass_at_k` would hold at a k of the user's own."""
    _, cells = query(
        connection,
        "SELECT n, c, CASE WHEN task = scorer THEN chance END FROM solved JOIN problem ON problem.id = problem_id "
        "WHERE scorer = ? AND arm_id = ? AND n >= ?",
        [scorer, arm_id, k],
    )
    return estimate(cells, k)


def estimate(cells: Sequence[tuple[int, int, float | None]], k: int) -> AtK:
    """The pass@k of problems of (draws, correct draws, chance), each with at least k draws, as the view `pass_at_k` has it."""
    each = [pass_at_k(n, c, k) for n, c, _ in cells]
    size = len(each)
    mean = sum(each) / size
    variance = variance_over_problems(each)
    stderr = None if variance is None else sqrt(variance)
    odds = [p for _, _, p in cells if p is not None]
    chance = None if len(odds) < size else sum(1 - (1 - p) ** k for p in odds) / size
    return AtK(k, size, mean, stderr, chance)


def above_chance(arm: ArmRow, tried: Sequence[Tried], k: int) -> Difference | None:
    """pass@k − chance, paired by problem, with its interval; None without such a k, or where a problem's chance is not known."""
    able = [problem for problem in tried if problem.n >= k]
    chances = [problem.chance for problem in able if problem.chance is not None]
    if k not in arm.at or not able or len(chances) < len(able):
        return None
    return over_guessing([Cell(problem.n, problem.c) for problem in able], chances, k, arm.at[k].shared)


def told_apart(arms: Sequence[ArmRow]) -> dict[int, str]:
    """By arm: the settings in which arms of equal model, method and value differ, and noise that is not `iid`."""
    alike: dict[tuple[str, str, float | None], list[ArmRow]] = {}
    for arm in arms:
        alike.setdefault((arm.model, arm.method, arm.value), []).append(arm)
    found = {}
    for group in alike.values():
        keys = sorted({key for arm in group for key in arm.settings if key != "prompt_digest"})
        differing = [key for key in keys if len({str(arm.settings.get(key)) for arm in group}) > 1]
        for arm in group:
            named = differing if "noise" in differing or arm.settings.get("noise") != "shared-seed" else [*differing, "noise"]
            words = [f"{key}={arm.settings[key]}" for key in named if arm.settings.get(key) not in (None, "")]
            if len({other.model_digest for other in group}) > 1:
                words.append(f"model={arm.model_digest[:8]}")
            if words:
                found[arm.arm_id] = " ".join(words)
    return found
