"""Which two arms to compare, and everything that is said of them: reads the views, then counts and resamples.

Knows the views and the pure functions of `stats`, not how a comparison is laid out.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from esprobe.analysis.against_base import VoteStep, trained_model, vote_steps, with_base
from esprobe.analysis.arms import ArmRow, Filter, no_arm
from esprobe.analysis.baselines import Tried, chance_at, greedy_at
from esprobe.analysis.best import KINDS, Choice, Shared, choose, of_models, share
from esprobe.analysis.changes import Changes, read_changes
from esprobe.analysis.chosen import SEED, Draws, Halves, Source, chosen_arms, model_by_model
from esprobe.analysis.overview import read_overview
from esprobe.analysis.reading import query
from esprobe.errors import UserError
from esprobe.stats.intervals import Cell, shared_draws
from esprobe.stats.nulls import cover_by_guessing, mean_if_known, over_guessing, taus_that_tell
from esprobe.stats.paired import (
    TAUS,
    Difference,
    Overlap,
    cover_at,
    overlap,
    paired_difference,
    powers_of_two,
    union_at,
)
from esprobe.stats.pairing import Side

ROUNDS = 1000  # of the bootstrap


@dataclass(frozen=True)
class Step:
    """Both arms at one k.

    `bootstrap`: the difference's interval by resampling, None where resampling cannot see what varies. `union`: k/2 draws of
    each. `chance`: k random valid answers. `floor`: one greedy answer and k − 1 random valid ones. `…_over_chance`: pass@k less
    chance, paired by problem. `…_so_far`: the share solved by the first k draws, in their order.
    """

    difference: Difference
    bootstrap: tuple[float, float] | None
    union: float | None
    chance: float | None
    floor: float | None
    first_over_chance: Difference | None
    second_over_chance: Difference | None
    first_so_far: float
    second_so_far: float
    either_so_far: float


@dataclass(frozen=True)
class Cover:
    """cover@τ of both arms, by equally many draws of each, and of guessing; `chance` is None where it is not known."""

    tau: float
    first: float
    second: float
    chance: float | None


@dataclass(frozen=True)
class Comparison:
    """Two arms on the problems that both have at least `depth` draws of."""

    first: ArmRow
    second: ArmRow
    problems: int
    solvable: int  # problems proven so
    unknown: int  # problems proven neither solvable nor impossible
    left_out: int
    depth: int
    too_deep: tuple[int, ...]  # the k that were asked for and that are beyond the depth
    steps: list[Step]
    changes: Changes
    overlap: Overlap
    cover: list[Cover]
    greedy: float | None  # of the greedy arm that matches the first arm
    draws: list[Draws]
    halves: Halves | None
    choice: Choice | None  # how the arms were chosen, with ties and what was left out; None for named arms
    votes: list[VoteStep]  # none where an arm's models are shared by all problems
    trained_on: tuple[int, int]  # how many of the problems either arm's model was trained on
    common_seeds: int  # of two perturbation arms: models that share their direction; such arms are not independent

    @property
    def solved_anything(self) -> bool:
        """Whether any draw of either arm is correct."""
        return any(step.difference.first or step.difference.second for step in self.steps)


def compare(connection: sqlite3.Connection, chosen: Filter, pair: Sequence[int] = (), ks: Sequence[int] = ()) -> list[Comparison]:
    """Best temperature against best perturbation arm of every model, or the two arms of `pair`. UserError if there are none.

    Where the filter names a trained model, its arms against those of its base.
    """
    trained = None if pair else trained_model(connection, chosen.model)
    shown = chosen if trained is None else replace(chosen, model=None)
    source = Source(connection, read_overview(connection, shown, intervals=False))
    arms, counts = source.seen.arms, source.seen.counts
    if trained is not None:
        return [_compared(source, first, second, ks) for first, second in with_base(arms, trained)]
    if pair:
        return [_compared(source, *_named(arms, pair), ks)]
    choices = [(group, choose(group, counts)) for group in of_models(arms) if {*KINDS} <= {arm.method for arm in group}]
    if not choices:
        raise UserError(
            "nothing to compare: no model here has a temperature arm and a perturbation arm; sample both, or name two with --arm"
        )
    found = []
    for group, choice in choices:
        if choice is not None:  # otherwise the other models can still be compared
            first, second = (next(arm for arm in group if arm.arm_id == best) for best in choice.best)
            found.append(_compared(source, first, second, ks, choice))
    if not found:
        raise UserError(
            "nothing to compare: the temperature and the perturbation arms have no problem in common; name two arms with --arm"
        )
    return found


def _named(arms: Sequence[ArmRow], pair: Sequence[int]) -> tuple[ArmRow, ArmRow]:
    """The two arms that the user names. Raises UserError."""
    if len(set(pair)) != 2:
        raise UserError("a comparison needs two different arms: --arm ID --arm ID, with IDs from `esprobe arms`")
    by_id = {arm.arm_id: arm for arm in arms}
    for arm_id in pair:
        if arm_id not in by_id:
            raise no_arm(arm_id)
    return by_id[pair[0]], by_id[pair[1]]


def _compared(source: Source, first: ArmRow, second: ArmRow, ks: Sequence[int], choice: Choice | None = None) -> Comparison:
    """The two arms on what they share. Raises UserError where that is nothing."""
    seen = source.seen
    shared = share(seen.counts[first.arm_id], seen.counts[second.arm_id])
    if shared is None:
        raise UserError(f"arms {first.arm_id} and {second.arm_id} have no problem in common, so they cannot be compared")
    sides = [_side(source, arm, shared) for arm in (first, second)]
    met = set(shared.problems)
    tried = [problem for problem in seen.tried[first.arm_id] if problem.problem_id in met]
    greedy = seen.greedy(first, shared.problems)
    steps = _steps(sides, shared.depth, tried, greedy, ks)
    return Comparison(
        first=first,
        second=second,
        problems=len(shared.problems),
        solvable=sum(bool(problem.solvable) for problem in tried),
        unknown=sum(problem.solvable is None for problem in tried),
        left_out=shared.left_out,
        depth=shared.depth,
        too_deep=tuple(sorted({k for k in ks if k > shared.depth})),
        steps=steps,
        changes=_changes(source, first, second, shared, [step.difference.k for step in steps]),
        overlap=overlap(
            *(side.solved_within(shared.depth) for side in sides), independent=not any(side.shared for side in sides)
        ),
        cover=_cover([side.first_draws(shared.depth) for side in sides], shared.depth, tried),
        greedy=fmean(greedy.values()) if greedy else None,
        draws=[model_by_model(source, arm, shared.problems) for arm in (first, second) if arm.shares_draws and arm.samples == 1],
        halves=None if choice is None else chosen_arms(source, choice),
        choice=choice,
        votes=vote_steps(source.connection, seen.scorer, (first, second), shared, [step.difference.k for step in steps]),
        trained_on=(seen.trained_on_of(first, met), seen.trained_on_of(second, met)),
        common_seeds=_common_seeds(source.connection, first, second),
    )


def _changes(source: Source, first: ArmRow, second: ArmRow, shared: Shared, ks: Sequence[int]) -> Changes:
    arm_ids = (first.arm_id, second.arm_id)
    cells = [{problem: source.seen.counts[arm_id][problem] for problem in shared.problems} for arm_id in arm_ids]
    return read_changes(source.connection, source.seen.scorer, arm_ids, cells, ks)


def _side(source: Source, arm: ArmRow, shared: Shared) -> Side:
    verdicts, counts = source.verdicts(arm), source.seen.counts[arm.arm_id]
    return Side(
        cells=[counts[problem] for problem in shared.problems],
        correct=[[model for model, right in verdicts[problem] if right] for problem in shared.problems],
        places=[[place for place, (_, right) in enumerate(verdicts[problem]) if right] for problem in shared.problems],
        shared=arm.shares_draws,
        samples=arm.samples,
    )


def _steps(
    sides: Sequence[Side], depth: int, tried: Sequence[Tried], greedy: Mapping[int, float], ks: Sequence[int]
) -> list[Step]:
    from esprobe.stats.pairing import bootstrap_differences

    used = sorted({k for k in ks if k <= depth}) or powers_of_two(depth)
    intervals = bootstrap_differences(sides[0], sides[1], depth, used, ROUNDS, SEED)
    return [_step(sides, k, tried, greedy, interval) for k, interval in zip(used, intervals, strict=True)]


def _step(
    sides: Sequence[Side], k: int, tried: Sequence[Tried], greedy: Mapping[int, float], bootstrap: tuple[float, float] | None
) -> Step:
    a, b = sides
    # arms of equal seeds vary together, which would only narrow the interval
    models = [shared_draws(side.cells, side.by_draw(), k, side.samples) if side.shared else None for side in sides]
    chances = [problem.chance for problem in tried if problem.chance is not None]
    known = len(chances) == len(tried)
    above = [over_guessing(side.cells, chances, k, m) if known else None for side, m in zip(sides, models, strict=True)]
    so_far = [side.solved_within(k) for side in sides]
    return Step(
        difference=paired_difference(a.cells, b.cells, k, [m for m in models if m is not None]),
        bootstrap=bootstrap,
        union=union_at(a.cells, b.cells, k) if k % 2 == 0 else None,
        chance=chance_at(tried, k),
        floor=greedy_at(tried, greedy, k),
        first_over_chance=above[0],
        second_over_chance=above[1],
        first_so_far=fmean(so_far[0]),
        second_so_far=fmean(so_far[1]),
        either_so_far=fmean(map(max, *so_far)),
    )


def _cover(sides: Sequence[Sequence[Cell]], depth: int, tried: Sequence[Tried]) -> list[Cover]:
    """cover@τ by the first `depth` draws of both, at every τ that asks for more than a lucky one."""
    chances = [problem.chance for problem in tried]
    return [
        Cover(
            tau=tau,
            first=cover_at(sides[0], tau),
            second=cover_at(sides[1], tau),
            chance=mean_if_known(None if p is None else cover_by_guessing(depth, p, tau) for p in chances),
        )
        for tau in taus_that_tell(TAUS, depth)
    ]


def _common_seeds(connection: sqlite3.Connection, first: ArmRow, second: ArmRow) -> int:
    """How many models of the one arm were made with the same noise as one of the other, only larger or smaller."""
    if not (first.shares_draws and second.shares_draws) or first.model_digest != second.model_digest:
        return 0
    if any(first.settings.get(key) != second.settings.get(key) for key in ("noise", "rank")):
        return 0
    sql = "SELECT count(*) FROM draw AS a JOIN draw AS b ON a.seed = b.seed WHERE a.arm_id = ? AND b.arm_id = ?"
    return int(query(connection, sql, [first.arm_id, second.arm_id])[1][0][0])
