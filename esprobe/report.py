"""The report: every arm with its pass@k, 95% intervals, and the odds of guessing beside it, read from the views.

Knows the views and how a report is laid out. Knows no model, and computes nothing that a view holds.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from typing import Any

from esprobe.arms import METHODS
from esprobe.errors import UserError
from esprobe.estimator import pass_at_k
from esprobe.intervals import Cell, Interval, SharedDraws, share_interval, shared_draws, variance_over_problems
from esprobe.output import Format, no_markup, render, shown_lines
from esprobe.reading import query

DEFAULT_KS = (1, 8, 64, 512, 4096)


@dataclass(frozen=True)
class Filter:
    """Which arms a report shows; None is all. `model` matches a part of the name."""

    scorer: str = "countdown"
    model: str | None = None
    methods: tuple[str, ...] = ()
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raises UserError for a method that there is not."""
        for method in self.methods:
            if method not in METHODS:
                raise UserError(f"there is no method {method!r}; methods: {', '.join(METHODS)}")


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

    @property
    def over_chance(self) -> float | None:
        """pass@k as a multiple of chance; None where chance is unknown or 0."""
        return self.pass_at_k / self.chance if self.chance else None


@dataclass(frozen=True)
class ArmRow:
    """One row of the view `arm_summary`, with its pass@k by k."""

    arm_id: int
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
    solvable: int
    settings: dict[str, Any]
    at: dict[int, AtK]


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
        "SELECT s.arm_id, s.model, model.digest AS model_digest, s.method, s.value, s.problems, s.draws, s.rollouts, s.correct, "
        "s.problems_solved, s.mean_tokens, s.solvable, s.settings "
        "FROM arm_summary AS s JOIN arm ON arm.id = s.arm_id JOIN model ON model.id = arm.model_id WHERE s.scorer = ? "
        "ORDER BY s.model, model_digest, s.method = 'imported', s.method = 'perturbation', s.method = 'temperature', "
        "s.method, s.value, s.arm_id",
        [chosen.scorer],
    )
    arms = []
    for row in rows:
        named = dict(zip(columns, row, strict=True))
        named["settings"] = json.loads(named["settings"])
        arms.append(ArmRow(**named, at=at[named["arm_id"]]))
    if not arms:
        raise UserError(f"no rollouts scored by {chosen.scorer!r} yet; run `esprobe sample-temp`, or `esprobe score --scorer …`")
    arms = [
        arm
        for arm in arms
        if (chosen.model is None or chosen.model.lower() in arm.model.lower())
        and (not chosen.methods or arm.method in chosen.methods)
        and (not chosen.values or arm.value in chosen.values)
    ]
    if not arms:
        raise UserError("no arm passes these filters; `esprobe report` without filters shows what there is")
    for arm in arms:
        for k in ks:
            if k <= arm.draws and k not in arm.at:
                arm.at[k] = _compute(connection, chosen.scorer, arm.arm_id, k)
        if arm.method == "perturbation":
            _add_shared_draws(connection, chosen.scorer, arm, [k for k in arm.at if only is None or k in only])
    return arms


def _add_shared_draws(connection: sqlite3.Connection, scorer: str, arm: ArmRow, ks: Sequence[int]) -> None:
    """In a perturbation arm a draw is one perturbed model for all problems, so its luck does not average out over problems."""
    if not ks:
        return
    _, cells = query(connection, "SELECT n, c FROM solved WHERE scorer = ? AND arm_id = ?", [scorer, arm.arm_id])
    _, rows = query(
        connection,
        "WITH cell AS MATERIALIZED (SELECT problem_id, n, c FROM solved WHERE scorer = ?1 AND arm_id = ?2) "
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
        "SELECT n, c, chance FROM solved JOIN problem ON problem.id = problem_id WHERE scorer = ? AND arm_id = ? AND n >= ?",
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


def report(connection: sqlite3.Connection, chosen: Filter, ks: Sequence[int], style: Format) -> str:
    """The whole report as text. CSV and JSON have one record per arm and k, with full precision."""
    arms = load_arms(connection, chosen, ks)
    if style in ("csv", "json"):
        return render(*_records(arms, chosen.scorer, ks), style)
    most = max(arm.draws for arm in arms)
    shown = sorted(set(ks) or {k for k in DEFAULT_KS if k <= most} | {most})
    columns = ["model", "method", "value", "problems", "draws", *(f"pass@{k}" for k in shown), "over chance", "solved", "tokens"]
    rows = [_row(arm, shown) for arm in arms] + _chance_rows(arms, shown) + _ceiling_rows(arms, shown)
    apart = told_apart(arms)
    if apart:
        columns.insert(3, "settings")
        for i, row in enumerate(rows):
            row.insert(3, apart.get(arms[i].arm_id, "") if i < len(arms) else "")
    notes = shown_lines("\n".join(_notes(arms, shown, chosen.scorer)))
    return "\n\n".join([render(columns, rows, style), no_markup(notes) if style == "markdown" else notes])


def _records(arms: Sequence[ArmRow], scorer: str, ks: Sequence[int]) -> tuple[list[str], list[list[Any]]]:
    columns = ["arm_id", "model", "method", "value", "scorer", "problems", "draws", "rollouts", "correct", "problems_solved"]
    columns += ["solvable", "mean_tokens", "k", "problems_at_k", "pass_at_k", "stderr", "low", "high"]
    columns += ["chance", "over_chance"]
    rows = []
    for arm in arms:
        for k in sorted(arm.at):
            if not ks or k in ks:
                at = arm.at[k]
                head = [arm.arm_id, arm.model, arm.method, arm.value, scorer, arm.problems, arm.draws, arm.rollouts]
                tail = [arm.correct, arm.problems_solved, arm.solvable, arm.mean_tokens]
                rows.append(
                    [
                        *head,
                        *tail,
                        k,
                        at.problems,
                        at.pass_at_k,
                        at.stderr,
                        *(at.interval or (None, None)),
                        at.chance,
                        at.over_chance,
                    ]
                )
    return columns, rows


def _row(arm: ArmRow, ks: Sequence[int]) -> list[Any]:
    cells = [percent(arm.at[k].pass_at_k, arm.at[k].interval) if k in arm.at else "" for k in ks]
    times = arm.at[max(k for k in ks if k in arm.at)].over_chance if any(k in arm.at for k in ks) else None
    value = "" if arm.value is None else f"{'σ' if arm.method == 'perturbation' else 'T'} {arm.value:g}"
    tokens = "" if arm.mean_tokens is None else f"{arm.mean_tokens:.1f}"
    over = "" if times is None else f"×{times:.2f}" if times < 10 else f"×{times:.0f}"
    return [arm.model, arm.method, value, arm.problems, arm.draws, *cells, over, arm.problems_solved, tokens]


def _chance_rows(arms: Sequence[ArmRow], ks: Sequence[int]) -> list[list[Any]]:
    """One row for each set of problems: what uniformly random valid answers would score on it."""
    rows: dict[tuple[int, float], dict[int, float]] = {}
    for arm in arms:
        first = arm.at[1].chance
        if first is not None:
            known = {k: at.chance for k, at in arm.at.items() if at.chance is not None and at.problems == arm.problems}
            rows.setdefault((arm.problems, first), {}).update(known)
    return [
        ["(random valid answers)", "chance", "", problems, "", *(percent(at[k]) if k in at else "" for k in ks), "", "", ""]
        for (problems, _), at in rows.items()
    ]


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


def _ceiling_rows(arms: Sequence[ArmRow], ks: Sequence[int]) -> list[list[Any]]:
    """One row for each set of problems: how many of them can be solved at all, whatever is sampled."""
    ceilings = sorted({(arm.problems, arm.solvable) for arm in arms})
    return [
        ["(best possible)", "ceiling", "", problems, "", *[percent(solvable / problems) for _ in ks], "", solvable, ""]
        for problems, solvable in ceilings
    ]


def percent(share: float, interval: Interval | None = None) -> str:
    """`43.8%`, with an interval `43.8% [35.4, 52.6]`."""
    return f"{100 * share:.1f}%" + ("" if interval is None else f" [{100 * interval.low:.1f}, {100 * interval.high:.1f}]")


def _notes(arms: Sequence[ArmRow], ks: Sequence[int], scorer: str) -> list[str]:
    ceilings = sorted({(arm.solvable, arm.problems) for arm in arms})
    ceiling = "; ".join(
        f"{s} of {p} problems ({100 * s / p:.1f}%) can be solved" + ("" if s == p else f", {p - s} proven impossible")
        for s, p in ceilings
    )
    notes = [
        f"[low, high]: 95% interval over problems, and over draws where problems share them (perturbation); scored by {scorer}.",
        "chance: the exact pass@k of uniformly random valid answers on the same problems; over chance: at the largest k shown.",
        f"ceiling: {ceiling}.",
    ]
    deepest = max(arm.draws for arm in arms)
    if ks[-1] > deepest:
        notes.append(f"note: no arm has more than {deepest:,} draws, so there is no pass@k beyond.")
    partial = [arm for arm in arms if any(k in arm.at and arm.at[k].problems < arm.problems for k in ks)]
    if partial:
        names = ", ".join(f"{arm.method} {arm.value:g}" if arm.value is not None else arm.method for arm in partial)
        notes.append(f"note: some problems of {names} have fewer draws; their pass@k is over those that have at least k.")
    if any(arm.settings.get("noise") == "shared-seed" for arm in arms):
        notes.append("shared-seed noise is correlated: parameters of equal shape get identical noise (the published scheme).")
    if len({(arm.problems, arm.at[1].chance) for arm in arms}) > 1:
        notes.append("note: the arms stand on different sets of problems, so they cannot be compared row by row.")
    return notes
