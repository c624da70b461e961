"""What the plots show: the arms of one model with their counts, the best arms, overlap, coverage, accuracy of each draw.

Knows the report's arms and what is read of them. Draws nothing and loads no drawing library.
"""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from esprobe.analysis import arms as arm_rows
from esprobe.analysis import best
from esprobe.analysis.arms import ArmRow, AtK, Filter, load_arms, told_apart
from esprobe.analysis.baselines import Tried, read_tried
from esprobe.analysis.verdicts import counts_within, draw_accuracy, read_verdicts
from esprobe.methods import IMPORTED, SAMPLED, Method
from esprobe.report.render import shown
from esprobe.report.words import arm_name
from esprobe.stats.intervals import Cell, shared_draws
from esprobe.stats.paired import powers_of_two

SAMPLED_NAMES = tuple(method.name for method in SAMPLED)


@dataclass(frozen=True)
class Best:
    """The best arm of each method by pass@k, chosen by the rule of `best`, on the problems and draws that they share.

    `counts`: problem id → how many of the first `depth` draws are correct in each arm. `tied`: how many arms were as good.
    """

    k: int
    arms: tuple[ArmRow, ...]
    tied: tuple[int, ...]
    depth: int
    counts: Mapping[int, tuple[int, ...]]
    impossible: frozenset[int]  # problems proven to have no solution


@dataclass(frozen=True)
class Overlap:
    """How many problems both arms solved, only one did, or neither; `impossible` of the latter cannot be solved."""

    both: int
    first: int
    second: int
    neither: int
    impossible: int


@dataclass(frozen=True)
class Group:
    """Everything that the plots of one model and task show.

    `labels`: what to call each arm; `draws`: accuracy of perturbed models; `base`: what greedy decoding of the unchanged model,
    otherwise set like the arm, solves of the arm's problems. `equal`: the problems of each arm with their first `k` draws alone,
    so that no arm has had more tries; arms with fewer draws are not in it.
    """

    model: str
    slug: str
    scorer: str
    arms: tuple[ArmRow, ...]
    labels: Mapping[int, str]
    cells: Mapping[int, tuple[Tried, ...]]
    draws: Mapping[int, tuple[float, ...]]
    base: Mapping[int, float]
    solved_by: Mapping[int, Mapping[int, Sequence[int]]]  # perturbation arm → problem → places of the models that solve it
    k: int
    equal: Mapping[int, tuple[Tried, ...]]
    best: Best | None

    def of(self, *methods: Method, least: int = 1) -> tuple[ArmRow, ...]:
        """The arms of these methods with at least so many draws of every problem."""
        names = {method.name for method in methods}
        return tuple(arm for arm in self.arms if arm.method in names and self.depth(arm) >= least)

    def depth(self, arm: ArmRow) -> int:
        """How many draws every problem of the arm has."""
        return min(cell.n for cell in self.cells[arm.arm_id])

    def point(self, arm: ArmRow, k: int) -> AtK | None:
        """pass@k over all problems of the arm; None where some problem has fewer draws."""
        found = arm.at.get(k)
        if found is None or found.problems < arm.problems:
            found = self._on(arm, self.cells[arm.arm_id], k) if k <= self.depth(arm) else None
        return found

    def curve(self, arm: ArmRow) -> list[AtK]:
        """pass@k at k = 1, 2, 4, … and the arm's depth, always over all of its problems."""
        deepest = self.depth(arm)
        ks = sorted({k for k in arm.at if k <= deepest} | {deepest})
        return [point for k in ks if (point := self.point(arm, k))]

    def shared_curve(self, arm: ArmRow, shared: Best) -> list[AtK]:
        """pass@k at k = 1, 2, 4, … and as many draws as the best arms share, over the problems that they share."""
        cells = [cell for cell in self.cells[arm.arm_id] if cell.problem_id in shared.counts]
        return [self._on(arm, cells, k) for k in powers_of_two(shared.depth)]

    def _on(self, arm: ArmRow, cells: Sequence[Tried], k: int) -> AtK:
        """pass@k on some problems, with what models shared by them add to its variance."""
        found = estimate(cells, k)
        if not arm.shares_draws:
            return found
        correct: dict[int, dict[tuple[int, int], int]] = {}
        for cell in cells:
            for place in self.solved_by[arm.arm_id].get(cell.problem_id, ()):
                solved = correct.setdefault(place, {})
                solved[cell.n, cell.c] = solved.get((cell.n, cell.c), 0) + 1
        by_draw = {place: [(n, c, count) for (n, c), count in solved.items()] for place, solved in correct.items()}
        return replace(found, shared=shared_draws([Cell(cell.n, cell.c) for cell in cells], by_draw, k))


def load_groups(connection: sqlite3.Connection, chosen: Filter) -> list[Group]:
    """One group for each model and task that the filter lets through. Raises UserError if no arm passes."""
    arms = load_arms(connection, chosen)
    every = load_arms(connection, Filter(chosen.scorer), only=())
    settings = told_apart(arms)
    tried = {arm_id: tuple(problems) for arm_id, problems in read_tried(connection, chosen.scorer).items()}
    counts = {arm_id: {p.problem_id: Cell(p.n, p.c) for p in problems} for arm_id, problems in tried.items()}
    members = best.of_models(arms)
    slugs = _slugs([(found[0].model, found[0].model_digest, found[0].task) for found in members])
    groups = []
    for slug, found in zip(slugs, members, strict=True):
        base = {}
        for arm in found:
            greedy = best.baseline(arm, every, counts, list(counts[arm.arm_id]))
            if greedy is not None:
                base[arm.arm_id] = best.solve_rate(counts[greedy.arm_id], list(counts[arm.arm_id]))
        perturbed = [arm for arm in found if arm.shares_draws]
        choice = best.choose(found, counts) or best.choose(found, counts, kinds=(IMPORTED.name,))
        k = choice.k if choice else max(best.depth(counts[arm.arm_id]) for arm in found)
        groups.append(
            Group(
                model=shown(found[0].model),
                slug=slug,
                scorer=shown(chosen.scorer),
                arms=tuple(found),
                labels={arm.arm_id: shown(arm_label(arm, settings.get(arm.arm_id, ""))) for arm in found},
                cells={arm.arm_id: tried[arm.arm_id] for arm in found},
                draws={arm.arm_id: draw_accuracy(connection, chosen.scorer, arm) for arm in perturbed},
                base=base,
                solved_by={
                    arm.arm_id: {
                        problem: [place for place, right in verdicts if right]
                        for problem, verdicts in read_verdicts(connection, chosen.scorer, arm.arm_id).items()
                    }
                    for arm in perturbed
                },
                k=k,
                equal=_equal(connection, chosen.scorer, found, tried, k),
                best=_best(connection, chosen.scorer, found, counts, tried),
            )
        )
    return groups


def _equal(
    connection: sqlite3.Connection, scorer: str, arms: Sequence[ArmRow], tried: Mapping[int, Sequence[Tried]], k: int
) -> dict[int, tuple[Tried, ...]]:
    """Each sampled arm's problems with the first k draws alone; without the arms of which some problem has fewer."""
    equal = {}
    for arm in arms:
        cells = tried[arm.arm_id]
        if arm.method not in SAMPLED_NAMES or any(cell.n < k for cell in cells):
            continue
        if any(cell.n > k for cell in cells):
            right = counts_within(connection, scorer, arm.arm_id, k)
            cells = [replace(cell, n=k, c=right[cell.problem_id]) for cell in cells]
        equal[arm.arm_id] = tuple(cells)
    return equal


def _slugs(groups: Sequence[tuple[str, str, str]]) -> list[str]:
    """The beginning of each group's file names, from (model, digest, task): the model's name, and more where two are alike."""
    plain = [re.sub(r"[^A-Za-z0-9.]+", "-", name)[-60:].strip("-.") or "model" for name, _, _ in groups]
    slugs = []
    for slug, (_, digest, task) in zip(plain, groups, strict=True):
        alike = [other for name, other in zip(plain, groups, strict=True) if name.lower() == slug.lower()]
        if len({other[1] for other in alike}) > 1:
            slug += f"-{sha256(digest.encode()).hexdigest()[:6]}"
        if len({other[2] for other in alike}) > 1:
            slug += f"-{re.sub(r'[^A-Za-z0-9.]+', '-', task)}"
        slugs.append(slug)
    return slugs


def arm_label(arm: ArmRow, settings: str = "") -> str:
    """For legends: `T 0.4`, `σ 0.01`, `greedy`, and the settings that tell it apart from one alike."""
    name = arm_name(arm)
    return f"{name} ({settings})" if settings else name


def estimate(cells: Sequence[Tried], k: int) -> AtK:
    """The pass@k at a k that every problem has draws for."""
    return arm_rows.estimate([(cell.n, cell.c, cell.chance) for cell in cells], k)


def coverage_and_depth(cells: Sequence[Tried]) -> tuple[float, float]:
    """The share of problems with a correct draw, and the mean share of correct draws on those problems (0 without any)."""
    rates = [cell.c / cell.n for cell in cells if cell.c]
    return len(rates) / len(cells), sum(rates) / len(rates) if rates else 0.0


def count_bins(most: int) -> list[tuple[int, int]]:
    """Ranges of correct counts: 0, 1, 2–3, 4–7, … and, apart, all `most`; for few draws each count by itself."""
    if most <= 6:
        return [(c, c) for c in range(most + 1)]
    bins, low = [(0, 0)], 1
    while low < most:
        bins.append((low, min(2 * low - 1, most - 1)))
        low *= 2
    return [*bins, (most, most)]


def count_shares(cells: Sequence[Tried], bins: Sequence[tuple[int, int]]) -> list[float]:
    """The share of problems whose correct count falls into each range."""
    return [sum(low <= cell.c <= high for cell in cells) / len(cells) for low, high in bins]


def overlap(found: Best) -> Overlap | None:
    """Which problems the two best arms solved with equally many draws; None where there is but one."""
    if len(found.arms) < 2:
        return None
    solved = [(first > 0, second > 0) for first, second in found.counts.values()]
    return Overlap(
        both=solved.count((True, True)),
        first=solved.count((True, False)),
        second=solved.count((False, True)),
        neither=solved.count((False, False)),
        impossible=sum(not any(found.counts[problem]) for problem in found.impossible & set(found.counts)),
    )


def _best(
    connection: sqlite3.Connection,
    scorer: str,
    arms: Sequence[ArmRow],
    counts: Mapping[int, best.Counts],
    tried: Mapping[int, Sequence[Tried]],
) -> Best | None:
    choice = best.choose(arms, counts)
    if choice is None:
        return None
    chosen = [next(arm for arm in arms if arm.arm_id == arm_id) for arm_id in choice.best]
    shared = best.share(counts[chosen[0].arm_id], counts[chosen[-1].arm_id])  # with itself where there is but one
    if shared is None:
        return None
    within = [counts_within(connection, scorer, arm.arm_id, shared.depth) for arm in chosen]
    impossible = {cell.problem_id for arm in chosen for cell in tried[arm.arm_id] if cell.solvable is False}
    return Best(
        k=choice.k,
        arms=tuple(chosen),
        tied=tuple(map(len, choice.tied)),
        depth=shared.depth,
        counts={problem: tuple(right[problem] for right in within) for problem in shared.problems},
        impossible=frozenset(impossible),
    )
