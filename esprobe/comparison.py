"""Which two arms to compare, and everything that is said of them: reads the views, then counts and resamples.

Knows the views and the pure functions of compare.py and resampling.py, not how a comparison is laid out.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from esprobe.best import KINDS, Choice, Shared, baseline, choose, of_models, share, solve_rate, solved_within
from esprobe.compare import (
    TAUS,
    Difference,
    Overlap,
    cover_at,
    overlap,
    paired_difference,
    powers_of_two,
    union_at,
)
from esprobe.errors import UserError
from esprobe.estimator import pass_at_k
from esprobe.intervals import Cell, variance_over_shared_draws
from esprobe.pairing import Side
from esprobe.reading import query
from esprobe.report import ArmRow, Filter, load_arms
from esprobe.verdicts import read_firsts, read_solved, read_verdicts

_SAME = 1e-12  # equal up to rounding
ROUNDS = 1000  # of the bootstrap
SPLITS = 500  # of the problems into halves
SEED = 20251122

Solved = dict[int, dict[int, Cell]]  # arm → problem → counts


@dataclass(frozen=True)
class Step:
    """Both arms at one k. `union`: k/2 draws of each; `first_so_far`: share solved by the first k draws, in their order."""

    difference: Difference
    bootstrap: tuple[float, float]
    union: float | None
    chance: float | None
    first_so_far: float
    second_so_far: float
    either_so_far: float


@dataclass(frozen=True)
class Draws:
    """A perturbation arm's models one by one. `better`: how many beat greedy decoding of the unperturbed model."""

    arm: ArmRow
    count: int
    mean: float
    greedy: float | None
    better: int | None
    best: list[tuple[int, int | None, int, float]]  # draw, seed, correct, accuracy


@dataclass(frozen=True)
class Halves:
    """Arms chosen on one half of the problems, which every candidate has, and compared on the other.

    `same`: how often the choice was today's.
    """

    k: int
    problems: int
    first: float
    second: float
    same: float
    first_arms: int
    second_arms: int
    left_out: int


@dataclass(frozen=True)
class Comparison:
    """Two arms on the problems that both have at least `depth` draws of."""

    first: ArmRow
    second: ArmRow
    problems: int
    solvable: int
    left_out: int
    depth: int
    steps: list[Step]
    overlap: Overlap
    cover: list[tuple[float, float, float]]  # τ, first, second
    greedy: float | None  # of the greedy arm that matches the first arm
    draws: list[Draws]
    halves: Halves | None
    choice: Choice | None  # how the arms were chosen, with ties and what was left out; None for named arms


@dataclass(frozen=True)
class _Data:
    """What is read once for all comparisons. `arms`: also those that the filter leaves out, for a baseline may be among them."""

    connection: sqlite3.Connection
    scorer: str
    arms: Sequence[ArmRow]
    solved: Solved


def compare(connection: sqlite3.Connection, chosen: Filter, pair: Sequence[int] = (), ks: Sequence[int] = ()) -> list[Comparison]:
    """Best temperature against best perturbation arm of every model, or the two arms of `pair`. UserError if there are none."""
    arms = load_arms(connection, chosen, only=())
    every = Filter(chosen.scorer)
    known = arms if chosen == every else load_arms(connection, every, only=())
    data = _Data(connection, chosen.scorer, known, read_solved(connection, chosen.scorer))
    if pair:
        return [_compared(data, *_named(arms, pair), ks)]
    chosen_arms = [(group, choose(group, data.solved)) for group in of_models(arms) if {*KINDS} <= {arm.method for arm in group}]
    if not chosen_arms:
        raise UserError(
            "nothing to compare: no model here has a temperature arm and a perturbation arm; sample both, or name two with --arm"
        )
    found = []
    for group, choice in chosen_arms:
        if choice is not None:  # otherwise the other models can still be compared
            first, second = (next(arm for arm in group if arm.arm_id == best) for best in choice.best)
            found.append(_compared(data, first, second, ks, choice))
    if not found:
        raise UserError(
            "nothing to compare: the temperature and the perturbation arms have no problem in common; name two arms with --arm"
        )
    return found


def _named(arms: Sequence[ArmRow], pair: Sequence[int]) -> tuple[ArmRow, ArmRow]:
    """The two arms that the user names. Raises UserError."""
    if len(set(pair)) != 2:
        raise UserError("a comparison needs two different arms: --arm ID --arm ID, with IDs from `esprobe report --format csv`")
    by_id = {arm.arm_id: arm for arm in arms}
    for arm_id in pair:
        if arm_id not in by_id:
            raise UserError(f"there is no arm {arm_id} here; `esprobe report --format csv` shows arm_id")
    return by_id[pair[0]], by_id[pair[1]]


def _halves(choice: Choice, solved: Solved) -> Halves | None:
    """What the best arms of one half of the problems score on the other half; None for a single problem."""
    if len(choice.problems) < 2:
        return None
    import numpy as np

    from esprobe.resampling import split_halves

    tables = [
        np.array(
            [[pass_at_k(cell.n, cell.c, choice.k) for cell in map(solved[arm_id].__getitem__, choice.problems)] for arm_id in ids]
        )
        for ids in choice.candidates
    ]
    first, second, same = split_halves(tables[0], tables[1], SPLITS, SEED)
    arms = [len(ids) for ids in choice.candidates]
    return Halves(choice.k, len(choice.problems), first, second, same, arms[0], arms[1], len(choice.left_out))


def _compared(data: _Data, first: ArmRow, second: ArmRow, ks: Sequence[int], choice: Choice | None = None) -> Comparison:
    """The two arms on what they share. Raises UserError where that is nothing."""
    shared = share(data.solved[first.arm_id], data.solved[second.arm_id])
    if shared is None:
        raise UserError(f"arms {first.arm_id} and {second.arm_id} have no problem in common, so they cannot be compared")
    sides = [_side(data, arm, shared) for arm in (first, second)]
    firsts = [read_firsts(data.connection, data.scorer, arm.arm_id).get(arm.arm_id, {}) for arm in (first, second)]
    facts = _facts(data.connection, shared)
    greedy = _greedy(data, first, shared.problems)
    return Comparison(
        first=first,
        second=second,
        problems=len(shared.problems),
        solvable=sum(solvable is None or bool(solvable) for solvable, _ in facts),
        left_out=shared.left_out,
        depth=shared.depth,
        steps=_steps(sides, firsts, shared, [chance for _, chance in facts], ks),
        overlap=overlap(*(solved_within(places, shared.problems, shared.depth) for places in firsts)),
        cover=[(tau, cover_at(sides[0].cells, tau), cover_at(sides[1].cells, tau)) for tau in TAUS],
        greedy=greedy,
        draws=[_draws(data, arm) for arm in (first, second) if arm.method == "perturbation"],
        halves=None if choice is None else _halves(choice, data.solved),
        choice=choice,
    )


def _side(data: _Data, arm: ArmRow, shared: Shared) -> Side:
    verdicts = read_verdicts(data.connection, data.scorer, arm.arm_id)
    cells = [data.solved[arm.arm_id][problem] for problem in shared.problems]
    correct = [[place for place, right in verdicts[problem] if right] for problem in shared.problems]
    return Side(cells, correct, arm.method == "perturbation")


def _facts(connection: sqlite3.Connection, shared: Shared) -> list[tuple[bool | None, float | None]]:
    """(solvable, chance) of each shared problem."""
    _, rows = query(connection, "SELECT id, solvable, chance FROM problem")
    facts = {problem: (solvable, chance) for problem, solvable, chance in rows}
    return [facts[problem] for problem in shared.problems]


def _steps(
    sides: Sequence[Side],
    firsts: Sequence[Mapping[int, int]],
    shared: Shared,
    chances: Sequence[float | None],
    ks: Sequence[int],
) -> list[Step]:
    from esprobe.pairing import bootstrap_differences

    a, b = sides
    size = len(shared.problems)
    used = sorted({k for k in ks if k <= shared.depth}) or powers_of_two(shared.depth)
    intervals = bootstrap_differences(a, b, shared.depth, used, ROUNDS, SEED)
    known = [p for p in chances if p is not None]
    steps = []
    for k, interval in zip(used, intervals, strict=True):
        drawn = sum(
            variance_over_shared_draws(side.cells, side.by_draw(), k) or 0.0 for side in sides if side.shared
        )  # arms of equal seeds vary together, which would only narrow it
        so_far = [solved_within(places, shared.problems, k) for places in firsts]
        steps.append(
            Step(
                difference=paired_difference(a.cells, b.cells, k, drawn),
                bootstrap=interval,
                union=union_at(a.cells, b.cells, k) if k % 2 == 0 else None,
                chance=sum(1 - (1 - p) ** k for p in known) / size if len(known) == size else None,
                first_so_far=sum(so_far[0]) / size,
                second_so_far=sum(so_far[1]) / size,
                either_so_far=sum(map(max, *so_far)) / size,
            )
        )
    return steps


def _greedy(data: _Data, arm: ArmRow, problems: Sequence[int]) -> float | None:
    """The share of the problems that greedy decoding set like the arm solves; None without such an arm."""
    found = baseline(arm, data.arms, data.solved, problems)
    return None if found is None else solve_rate(data.solved[found.arm_id], problems)


def _draws(data: _Data, arm: ArmRow) -> Draws:
    """From the view draw_accuracy: the draws over all problems of the arm, and greedy decoding on the same problems."""
    _, rows = query(
        data.connection,
        "SELECT draw, seed, correct, accuracy FROM draw_accuracy WHERE scorer = ?1 AND arm_id = ?2 AND problems = "
        "(SELECT count(*) FROM solved WHERE scorer = ?1 AND arm_id = ?2)",
        [data.scorer, arm.arm_id],
    )
    greedy = _greedy(data, arm, list(data.solved[arm.arm_id]))
    return Draws(
        arm=arm,
        count=len(rows),
        mean=sum(row[3] for row in rows) / max(1, len(rows)),
        greedy=greedy,
        better=None if greedy is None else sum(row[3] > greedy + _SAME for row in rows),
        best=sorted(rows, key=lambda row: (-row[3], row[0]))[:5],
    )
