"""Which two arms to compare, and everything that is said of them: reads the views, then counts and resamples.

Knows the views and the pure functions of `stats`, not how a comparison is laid out.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from esprobe.analysis.arms import ArmRow, Filter, load_arms
from esprobe.analysis.best import KINDS, Choice, Shared, choose, of_models, share
from esprobe.analysis.chosen import SEED, Data, Draws, Halves, chosen_arms, model_by_model
from esprobe.analysis.reading import query
from esprobe.analysis.verdicts import read_solved, read_verdicts
from esprobe.errors import UserError
from esprobe.stats.intervals import Cell, shared_draws
from esprobe.stats.nulls import (
    cover_by_guessing,
    greedy_and_guesses,
    guessing,
    mean_if_known,
    over_guessing,
    taus_that_tell,
)
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
    steps: list[Step]
    overlap: Overlap
    cover: list[Cover]
    greedy: float | None  # of the greedy arm that matches the first arm
    draws: list[Draws]
    halves: Halves | None
    choice: Choice | None  # how the arms were chosen, with ties and what was left out; None for named arms
    common_seeds: int  # of two perturbation arms: models that share their direction; such arms are not independent


def compare(connection: sqlite3.Connection, chosen: Filter, pair: Sequence[int] = (), ks: Sequence[int] = ()) -> list[Comparison]:
    """Best temperature against best perturbation arm of every model, or the two arms of `pair`. UserError if there are none."""
    arms = load_arms(connection, chosen, only=())
    every = Filter(chosen.scorer)
    known = arms if chosen == every else load_arms(connection, every, only=())
    data = Data(connection, chosen.scorer, known, read_solved(connection, chosen.scorer))
    if pair:
        return [_compared(data, *_named(arms, pair), ks)]
    choices = [(group, choose(group, data.solved)) for group in of_models(arms) if {*KINDS} <= {arm.method for arm in group}]
    if not choices:
        raise UserError(
            "nothing to compare: no model here has a temperature arm and a perturbation arm; sample both, or name two with --arm"
        )
    found = []
    for group, choice in choices:
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


def _compared(data: Data, first: ArmRow, second: ArmRow, ks: Sequence[int], choice: Choice | None = None) -> Comparison:
    """The two arms on what they share. Raises UserError where that is nothing."""
    shared = share(data.solved[first.arm_id], data.solved[second.arm_id])
    if shared is None:
        raise UserError(f"arms {first.arm_id} and {second.arm_id} have no problem in common, so they cannot be compared")
    sides = [_side(data, arm, shared) for arm in (first, second)]
    facts = _facts(data, shared)
    chances = [chance for _, chance in facts]
    greedy = data.greedy(first, shared.problems)
    answers = None if greedy is None else [greedy[i].c / greedy[i].n for i in shared.problems]
    return Comparison(
        first=first,
        second=second,
        problems=len(shared.problems),
        solvable=sum(bool(solvable) for solvable, _ in facts),
        unknown=sum(solvable is None for solvable, _ in facts),
        left_out=shared.left_out,
        depth=shared.depth,
        steps=_steps(sides, shared.depth, _Known(chances, answers), ks),
        overlap=overlap(
            *(side.solved_within(shared.depth) for side in sides), independent=not any(side.shared for side in sides)
        ),
        cover=_cover([side.first_draws(shared.depth) for side in sides], shared.depth, chances),
        greedy=None if answers is None else sum(answers) / len(answers),
        draws=[model_by_model(data, arm, shared.problems) for arm in (first, second) if arm.shares_draws],
        halves=None if choice is None else chosen_arms(data, choice),
        choice=choice,
        common_seeds=_common_seeds(data.connection, first, second),
    )


def _side(data: Data, arm: ArmRow, shared: Shared) -> Side:
    verdicts = read_verdicts(data.connection, data.scorer, arm.arm_id)
    return Side(
        cells=[data.solved[arm.arm_id][problem] for problem in shared.problems],
        correct=[[model for model, right in verdicts[problem] if right] for problem in shared.problems],
        places=[[place for place, (_, right) in enumerate(verdicts[problem]) if right] for problem in shared.problems],
        shared=arm.shares_draws,
    )


def _facts(data: Data, shared: Shared) -> list[tuple[bool | None, float | None]]:
    """(solvable, chance) of each shared problem, as far as they are proven under the scorer's rule."""
    proven = "CASE WHEN task = ?1 THEN solvable END, CASE WHEN task = ?1 THEN chance END"
    _, rows = query(data.connection, f"SELECT id, {proven} FROM problem", [data.scorer])
    facts = {problem: (solvable, chance) for problem, solvable, chance in rows}
    return [facts[problem] for problem in shared.problems]


@dataclass(frozen=True)
class _Known:
    """Of each shared problem: the chance of a guess, and greedy's share of correct answers where there is a baseline."""

    chances: Sequence[float | None]
    greedy: Sequence[float] | None

    def all_chances(self) -> list[float] | None:
        """The chances, if every one is known."""
        known = [p for p in self.chances if p is not None]
        return known if len(known) == len(self.chances) else None


def _steps(sides: Sequence[Side], depth: int, known: _Known, ks: Sequence[int]) -> list[Step]:
    from esprobe.stats.pairing import bootstrap_differences

    used = sorted({k for k in ks if k <= depth}) or powers_of_two(depth)
    intervals = bootstrap_differences(sides[0], sides[1], depth, used, ROUNDS, SEED)
    return [_step(sides, k, known, interval) for k, interval in zip(used, intervals, strict=True)]


def _step(sides: Sequence[Side], k: int, known: _Known, bootstrap: tuple[float, float] | None) -> Step:
    a, b = sides
    # arms of equal seeds vary together, which would only narrow the interval
    models = [shared_draws(side.cells, side.by_draw(), k) if side.shared else None for side in sides]
    chances, size = known.all_chances(), len(a.cells)
    so_far = [side.solved_within(k) for side in sides]
    over = [None if chances is None else over_guessing(side.cells, chances, k, m) for side, m in zip(sides, models, strict=True)]
    floor = None
    if chances is not None and known.greedy is not None:
        floor = sum(greedy_and_guesses(right, p, k) for right, p in zip(known.greedy, chances, strict=True)) / size
    return Step(
        difference=paired_difference(a.cells, b.cells, k, [m for m in models if m is not None]),
        bootstrap=bootstrap,
        union=union_at(a.cells, b.cells, k) if k % 2 == 0 else None,
        chance=None if chances is None else sum(guessing(p, k) for p in chances) / size,
        floor=floor,
        first_over_chance=over[0],
        second_over_chance=over[1],
        first_so_far=sum(so_far[0]) / size,
        second_so_far=sum(so_far[1]) / size,
        either_so_far=sum(map(max, *so_far)) / size,
    )


def _cover(sides: Sequence[Sequence[Cell]], depth: int, chances: Sequence[float | None]) -> list[Cover]:
    """cover@τ by the first `depth` draws of both, at every τ that asks for more than a lucky one."""
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
    if first.settings.get("noise") != second.settings.get("noise"):
        return 0
    sql = "SELECT count(*) FROM draw AS a JOIN draw AS b ON a.seed = b.seed WHERE a.arm_id = ? AND b.arm_id = ?"
    return int(query(connection, sql, [first.arm_id, second.arm_id])[1][0][0])
