"""What the plots show of one model on one task: curves, the best arms on what they share, equally many draws, single models.

Reads verdicts and counts. Must not know how anything is drawn, nor what it is called in a plot.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from esprobe.analysis.arms import ArmRow, AtK, estimate
from esprobe.analysis.baselines import Tried, counts, strata_of
from esprobe.analysis.best import Shared, choose, depth, share
from esprobe.analysis.overview import ModelOnTask, Overview
from esprobe.analysis.verdicts import complete_accuracies, counts_within, read_verdicts
from esprobe.methods import IMPORTED, SAMPLED, Method
from esprobe.stats.intervals import SharedDraws, by_draw, shared_draws
from esprobe.stats.paired import Difference, Overlap, overlap, paired_difference, powers_of_two

SAMPLED_NAMES = tuple(method.name for method in SAMPLED)


@dataclass(frozen=True)
class BestArms:
    """The best arm of each method by pass@k, chosen by the rule of `best`, on the problems and draws that they share.

    `candidates`: of how many arms each is the best; `tied`: how many of them are as good.
    `correct`: problem id → how many of the first `depth` draws are correct in each arm.
    `differences`: first − second at k = 1, 2, 4, … and `depth`, of all draws, paired by problem; none of a single arm.
    """

    k: int
    arms: tuple[ArmRow, ...]
    candidates: tuple[int, ...]
    tied: tuple[int, ...]
    depth: int
    correct: Mapping[int, tuple[int, ...]]
    impossible: int  # of these problems, how many are proven to have no solution
    differences: tuple[Difference, ...] = ()

    def overlap(self) -> Overlap | None:
        """Which problems the two best arms solve with equally many draws; None where there is but one."""
        if len(self.arms) < 2:
            return None
        shared = any(arm.shares_draws for arm in self.arms)
        first, second = ([right > 0 for right in each] for each in zip(*self.correct.values(), strict=True))
        return overlap(first, second, independent=not shared)


@dataclass(frozen=True)
class PlotData:
    """What is plotted of one model on one task.

    `accuracies`: perturbation arm → the share of problems that each of its models solves. `solved_by`: perturbation arm →
    problem → places of the models that solve it. `equal`: the problems of each arm with their first `k` draws alone, so that no
    arm has had more tries; arms with fewer draws are not in it.
    """

    found: ModelOnTask
    accuracies: Mapping[int, tuple[float, ...]]
    solved_by: Mapping[int, Mapping[int, Sequence[int]]]
    k: int
    equal: Mapping[int, tuple[Tried, ...]]
    best: BestArms | None

    @property
    def arms(self) -> tuple[ArmRow, ...]:
        """All arms, in order."""
        return self.found.arms

    def of(self, *methods: Method, least: int = 1) -> tuple[ArmRow, ...]:
        """The arms of these methods with at least so many draws of every problem."""
        names = {method.name for method in methods}
        return tuple(arm for arm in self.arms if arm.method in names and self.depth(arm) >= least)

    def depth(self, arm: ArmRow) -> int:
        """How many draws every problem of the arm has."""
        return min(problem.n for problem in self.found.tried[arm.arm_id])

    def point(self, arm: ArmRow, k: int) -> AtK | None:
        """pass@k over all problems of the arm; None where some problem has fewer draws."""
        at = arm.at.get(k)
        if at is None or at.problems < arm.problems:
            at = self._at(arm, self.found.tried[arm.arm_id], k) if k <= self.depth(arm) else None
        return at

    def curve(self, arm: ArmRow) -> list[AtK]:
        """pass@k at k = 1, 2, 4, … and the arm's depth, always over all of its problems."""
        deepest = self.depth(arm)
        ks = sorted({k for k in arm.at if k <= deepest} | {deepest})
        return [point for k in ks if (point := self.point(arm, k))]

    def shared_curve(self, arm: ArmRow, best: BestArms) -> list[AtK]:
        """pass@k at k = 1, 2, 4, … and as many draws as the best arms share, over the problems that they share."""
        tried = self.on(arm, best.correct)
        return [self._at(arm, tried, k) for k in powers_of_two(best.depth)]

    def curve_on(self, arm: ArmRow, problems: Collection[int]) -> list[AtK]:
        """pass@k over these of the arm's problems at k = 1, 2, 4, … and as many draws as all of them have."""
        tried = self.on(arm, problems)
        return [self._at(arm, tried, k) for k in powers_of_two(min(problem.n for problem in tried))]

    def on(self, arm: ArmRow, problems: Collection[int]) -> list[Tried]:
        """Those of the arm's problems that are among these, in order of their ids."""
        return [problem for problem in self.found.tried[arm.arm_id] if problem.problem_id in problems]

    def strata(self, arm: ArmRow, k: int) -> dict[str, AtK]:
        """pass@k on each kind of problem; empty where the arm's problems are of one kind, or one of them has fewer draws."""
        parts = strata_of(self.found.tried[arm.arm_id]) if k <= self.depth(arm) else {}
        return {name: self._at(arm, tried, k) for name, tried in parts.items()}

    def _at(self, arm: ArmRow, tried: Sequence[Tried], k: int) -> AtK:
        """pass@k on some problems, with what models shared by them add to its variance."""
        at = estimate(tried, k)
        return replace(at, shared=_added_by_models(arm, tried, self.solved_by[arm.arm_id], k)) if arm.shares_draws else at


def _added_by_models(arm: ArmRow, tried: Sequence[Tried], solved_by: Mapping[int, Sequence[int]], k: int) -> SharedDraws:
    """What the models of a perturbation arm add to the variance of pass@k on these problems."""
    cells = counts(tried)
    correct = by_draw(cells.values(), (solved_by.get(problem, ()) for problem in cells))
    return shared_draws(list(cells.values()), correct, k, arm.samples)


def read_plotted(connection: sqlite3.Connection, seen: Overview) -> list[PlotData]:
    """What to plot, for each model and task apart, in their order."""
    return [_plotted(connection, seen, found) for found in seen.models]


def _plotted(connection: sqlite3.Connection, seen: Overview, found: ModelOnTask) -> PlotData:
    choice = choose(found.arms, seen.counts) or choose(found.arms, seen.counts, kinds=(IMPORTED.name,))
    k = choice.k if choice else max(depth(seen.counts[arm.arm_id]) for arm in found.arms)
    perturbed = [arm for arm in found.arms if arm.shares_draws]
    solved_by = {arm.arm_id: models_that_solve(connection, seen.scorer, arm) for arm in perturbed}
    return PlotData(
        found=found,
        accuracies={arm.arm_id: complete_accuracies(connection, seen.scorer, arm.arm_id, arm.problems) for arm in perturbed},
        solved_by=solved_by,
        k=k,
        equal=_equal(connection, seen.scorer, found, k),
        best=_best(connection, seen, found, solved_by),
    )


def models_that_solve(connection: sqlite3.Connection, scorer: str, arm: ArmRow) -> dict[int, list[int]]:
    """Problem → places of the arm's draws that solve it."""
    verdicts = read_verdicts(connection, scorer, arm.arm_id)
    return {problem: [place for place, right in each if right] for problem, each in verdicts.items()}


def _equal(connection: sqlite3.Connection, scorer: str, found: ModelOnTask, k: int) -> dict[int, tuple[Tried, ...]]:
    """Each sampled arm's problems with the first k draws alone; without the arms of which some problem has fewer."""
    equal = {}
    for arm in found.arms:
        tried = found.tried[arm.arm_id]
        if arm.method not in SAMPLED_NAMES or any(problem.n < k for problem in tried):
            continue
        if any(problem.n > k for problem in tried):
            right = counts_within(connection, scorer, arm.arm_id, k)
            tried = [replace(problem, n=k, c=right[problem.problem_id]) for problem in tried]
        equal[arm.arm_id] = tuple(tried)
    return equal


def _best(
    connection: sqlite3.Connection, seen: Overview, found: ModelOnTask, solved_by: Mapping[int, Mapping[int, Sequence[int]]]
) -> BestArms | None:
    choice = choose(found.arms, seen.counts)
    if choice is None:
        return None
    arms = [next(arm for arm in found.arms if arm.arm_id == arm_id) for arm_id in choice.best]
    shared = share(seen.counts[arms[0].arm_id], seen.counts[arms[-1].arm_id])  # with itself where there is but one
    if shared is None:
        return None
    within = [counts_within(connection, seen.scorer, arm.arm_id, shared.depth) for arm in arms]
    impossible = {problem.problem_id for problem in found.tried[arms[0].arm_id] if problem.solvable is False}
    return BestArms(
        k=choice.k,
        arms=tuple(arms),
        candidates=tuple(map(len, choice.candidates)),
        tied=tuple(map(len, choice.tied)),
        depth=shared.depth,
        correct={problem: tuple(right[problem] for right in within) for problem in shared.problems},
        impossible=len(impossible & set(shared.problems)),
        differences=differences(found.tried, arms, shared, solved_by),
    )


def differences(
    every: Mapping[int, Sequence[Tried]],
    arms: Sequence[ArmRow],
    shared: Shared,
    solved_by: Mapping[int, Mapping[int, Sequence[int]]],
) -> tuple[Difference, ...]:
    """First − second at each k, problem by problem, as `report --compare` has it."""
    if len(arms) < 2:
        return ()
    met = set(shared.problems)
    tried = [[problem for problem in every[arm.arm_id] if problem.problem_id in met] for arm in arms]
    return tuple(difference_at(arms, tried, solved_by, k) for k in powers_of_two(shared.depth))


def difference_at(
    arms: Sequence[ArmRow], tried: Sequence[Sequence[Tried]], solved_by: Mapping[int, Mapping[int, Sequence[int]]], k: int
) -> Difference:
    """First − second at one k, on the same problems of both arms, in the same order."""
    first, second = (list(counts(each).values()) for each in tried)
    perturbed = [(arm, each) for arm, each in zip(arms, tried, strict=True) if arm.shares_draws]
    return paired_difference(first, second, k, [_added_by_models(arm, each, solved_by[arm.arm_id], k) for arm, each in perturbed])
