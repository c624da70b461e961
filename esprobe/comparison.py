"""Which two arms to compare, and everything that is said of them: reads the views, then counts and resamples.

Knows the views and the pure functions of compare.py and resampling.py, not how a comparison is laid out.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from esprobe.compare import (
    TAUS,
    Difference,
    Overlap,
    common_depth,
    cover_at,
    overlap,
    paired_difference,
    powers_of_two,
    union_at,
)
from esprobe.errors import UserError
from esprobe.estimator import pass_at_k
from esprobe.intervals import Cell, variance_over_shared_draws
from esprobe.reading import query
from esprobe.report import ArmRow, Filter, draw_ranks, load_arms

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
    greedy: float | None
    draws: list[Draws]
    halves: Halves | None


def compare(connection: sqlite3.Connection, chosen: Filter, pair: Sequence[int] = (), ks: Sequence[int] = ()) -> list[Comparison]:
    """Best temperature against best perturbation arm of every model, or the two arms of `pair`. UserError if there are none."""
    arms = load_arms(connection, chosen, only=())
    solved: Solved = {}
    _, rows = query(connection, "SELECT arm_id, problem_id, n, c FROM solved WHERE scorer = ?", [chosen.scorer])
    for arm_id, problem_id, n, c in rows:
        solved.setdefault(arm_id, {})[problem_id] = Cell(n, c)
    if pair:
        if len(set(pair)) != 2:
            raise UserError(
                "a comparison needs two different arms: --arm ID --arm ID, with IDs from `esprobe report --format csv`"
            )
        by_id = {arm.arm_id: arm for arm in arms}
        for arm_id in pair:
            if arm_id not in by_id:
                raise UserError(f"there is no arm {arm_id} here; `esprobe report --format csv` shows arm_id")
        first, second = (by_id[arm_id] for arm_id in pair)
        return [_compared(connection, chosen.scorer, first, second, arms, solved, ks, None)]
    found = []
    refused: UserError | None = None
    for model in dict.fromkeys(arm.model_digest for arm in arms):
        mine = [arm for arm in arms if arm.model_digest == model]
        kinds = [[arm for arm in mine if arm.method == method] for method in ("temperature", "perturbation")]
        if all(kinds):
            try:
                first, second, halves = _best(kinds[0], kinds[1], solved)
            except UserError as error:  # the other models can still be compared
                refused = error
                continue
            found.append(_compared(connection, chosen.scorer, first, second, arms, solved, ks, halves))
    if not found:
        raise refused or UserError(
            "nothing to compare: no model here has a temperature arm and a perturbation arm; sample both, or name two with --arm"
        )
    return found


def _best(temperatures: list[ArmRow], perturbations: list[ArmRow], solved: Solved) -> tuple[ArmRow, ArmRow, Halves | None]:
    """The best of either kind at the largest k that both kinds reach, on the problems that all candidates share."""
    k = min(max(arm.draws for arm in kind) for kind in (temperatures, perturbations))
    reach = {arm.arm_id: {i for i, cell in solved[arm.arm_id].items() if cell.n >= k} for arm in temperatures + perturbations}
    shared: set[int] = set()
    kept: set[int] = set()
    for arm_id, problems in sorted(reach.items(), key=lambda item: -len(item[1])):  # stable: the first of equals
        if not kept and problems:
            shared, kept = problems, {arm_id}
        elif 2 * len(shared & problems) >= len(shared) > 0:
            shared, kept = shared & problems, kept | {arm_id}
    for kind in (temperatures, perturbations):  # a kind that stands on few of the problems is compared on those few
        if not any(arm.arm_id in kept for arm in kind):
            nearest = max(kind, key=lambda arm: len(reach[arm.arm_id] & shared)).arm_id
            if reach[nearest] & shared:
                shared, kept = shared & reach[nearest], kept | {nearest}
    first, second = ([arm for arm in kind if arm.arm_id in kept] for kind in (temperatures, perturbations))
    if not first or not second:
        raise UserError(
            "nothing to compare: the temperature and the perturbation arms stand on different problems; name two arms with --arm"
        )
    order = sorted(shared)

    def shares(arm: ArmRow) -> list[float]:
        return [pass_at_k(cell.n, cell.c, k) for cell in (solved[arm.arm_id][i] for i in order)]

    table_a, table_b = [shares(arm) for arm in first], [shares(arm) for arm in second]
    best_a = first[max(range(len(first)), key=lambda i: sum(table_a[i]))]
    best_b = second[max(range(len(second)), key=lambda i: sum(table_b[i]))]
    if len(order) < 2:
        return best_a, best_b, None
    import numpy as np

    from esprobe.resampling import split_halves

    halves = split_halves(np.array(table_a), np.array(table_b), SPLITS, SEED)
    left_out = len(temperatures) + len(perturbations) - len(first) - len(second)
    return best_a, best_b, Halves(k, len(order), *halves, len(first), len(second), left_out)


def _compared(
    connection: sqlite3.Connection,
    scorer: str,
    first: ArmRow,
    second: ArmRow,
    arms: Sequence[ArmRow],
    solved: Solved,
    ks: Sequence[int],
    halves: Halves | None,
) -> Comparison:
    from esprobe.pairing import Side, bootstrap_differences

    counts = solved[first.arm_id], solved[second.arm_id]
    both = sorted(counts[0].keys() & counts[1].keys())
    if not both:
        raise UserError(f"arms {first.arm_id} and {second.arm_id} have no problem in common, so they cannot be compared")
    depth = common_depth([counts[0][i].n for i in both], [counts[1][i].n for i in both])
    order = [i for i in both if counts[0][i].n >= depth and counts[1][i].n >= depth]
    left_out = len(counts[0].keys() | counts[1].keys()) - len(order)
    sides = [
        Side([cells[i] for i in order], _correct(connection, scorer, arm.arm_id, order), arm.method == "perturbation")
        for arm, cells in zip((first, second), counts, strict=True)
    ]
    a, b = sides
    used = sorted({k for k in ks if k <= depth}) or powers_of_two(depth)
    _, rows = query(connection, "SELECT id, solvable, chance FROM problem")
    facts = {i: (solvable, chance) for i, solvable, chance in rows}
    chances = [facts[i][1] for i in order]
    intervals = bootstrap_differences(a, b, depth, used, ROUNDS, SEED)
    steps = []
    for k, interval in zip(used, intervals, strict=True):
        drawn = sum(
            variance_over_shared_draws(side.cells, side.by_draw(), k) or 0.0 for side in sides if side.shared
        )  # arms of equal seeds vary together, which would only narrow it
        so_far = [[min(draws, default=k) < k for draws in side.correct] for side in sides]
        steps.append(
            Step(
                paired_difference(a.cells, b.cells, k, drawn),
                interval,
                union_at(a.cells, b.cells, k) if k % 2 == 0 else None,
                None if None in chances else sum(1 - (1 - p) ** k for p in chances) / len(order),
                sum(so_far[0]) / len(order),
                sum(so_far[1]) / len(order),
                sum(map(max, *so_far)) / len(order),
            )
        )
    within = [[min(draws, default=depth) < depth for draws in side.correct] for side in sides]
    greedy = _greedy(first, arms, solved, order)
    return Comparison(
        first,
        second,
        len(order),
        sum(facts[i][0] is None or bool(facts[i][0]) for i in order),
        left_out,
        depth,
        steps,
        overlap(*within),
        [(tau, cover_at(a.cells, tau), cover_at(b.cells, tau)) for tau in TAUS],
        greedy,
        [_draws(connection, scorer, arm, arms, solved) for arm in (first, second) if arm.method == "perturbation"],
        halves,
    )


def _correct(connection: sqlite3.Connection, scorer: str, arm_id: int, order: Sequence[int]) -> list[list[int]]:
    """By problem, in order: the draws that solve it, as their places among the arm's draws."""
    ranks = draw_ranks(connection, arm_id)
    _, rows = query(
        connection, "SELECT problem_id, draw FROM score WHERE scorer = ? AND arm_id = ? AND correct = 1", [scorer, arm_id]
    )
    found: dict[int, list[int]] = {i: [] for i in order}
    for problem_id, draw in rows:
        if problem_id in found:
            found[problem_id].append(ranks[draw])
    return list(found.values())


def _greedy(arm: ArmRow, arms: Sequence[ArmRow], solved: Solved, order: Sequence[int]) -> float | None:
    """Greedy decoding's share of the problems, if a greedy arm of the model has them all; of several, the one most alike."""

    def alike(other: ArmRow) -> int:
        return sum(arm.settings.get(key) == value for key, value in other.settings.items())

    known = [
        o for o in arms if o.method == "greedy" and o.model_digest == arm.model_digest and solved[o.arm_id].keys() >= set(order)
    ]
    if not known:
        return None
    cells = solved[max(known, key=alike).arm_id]
    return sum(cells[i].c / cells[i].n for i in order) / len(order)


def _draws(connection: sqlite3.Connection, scorer: str, arm: ArmRow, arms: Sequence[ArmRow], solved: Solved) -> Draws:
    """From the view draw_accuracy: the draws over all problems of the arm, greedy decoding on the same problems beside them."""
    _, rows = query(
        connection,
        "SELECT draw, seed, correct, accuracy FROM draw_accuracy WHERE scorer = ? AND arm_id = ? AND problems = "
        "(SELECT count(*) FROM solved WHERE scorer = ? AND arm_id = ?)",
        [scorer, arm.arm_id, scorer, arm.arm_id],
    )
    greedy = _greedy(arm, arms, solved, list(solved[arm.arm_id]))
    better = None if greedy is None else sum(row[3] > greedy + 1e-12 for row in rows)
    best = sorted(rows, key=lambda row: (-row[3], row[0]))[:5]
    return Draws(arm, len(rows), sum(row[3] for row in rows) / max(1, len(rows)), greedy, better, list(best))
