"""The best arms of several models on one task, on the problems that all of them have: what one picture of all can compare.

Knows what is plotted of each model. Must not know how anything is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from esprobe.analysis.arms import ArmRow, AtK
from esprobe.analysis.plotted import PlotData, difference_at
from esprobe.arms import trained_name
from esprobe.methods import GREEDY
from esprobe.stats.paired import Difference

MOST = 8  # models that one picture can tell apart


@dataclass(frozen=True)
class Line:
    """One arm on the shared problems: pass@k at k = 1, 2, 4, … and its depth there. `place`: which model's it is, from 0."""

    arm: ArmRow
    place: int
    curve: tuple[AtK, ...]


@dataclass(frozen=True)
class Across:
    """Models of one task. `greedy`: (place, share of the shared problems that greedy decoding solves).

    `lines`: the best arm of each method of each model. `best`: the best line and the best one of another model, if possible not
    of the same training, at the largest k that all lines have, with their difference, paired by problem. `left_out`: models that
    share too few problems with these, or beyond MOST.
    """

    task: str
    models: tuple[str, ...]
    problems: int
    lines: tuple[Line, ...]
    greedy: tuple[tuple[int, float], ...]
    best: tuple[Line, Line, Difference] | None
    left_out: tuple[str, ...]


def read_across(plotted: Sequence[PlotData]) -> list[Across]:
    """One for each task that several models have solved problems of, by arms with at least 2 draws."""
    by_task: dict[str, list[PlotData]] = {}
    for data in plotted:
        if _candidates(data):
            by_task.setdefault(data.arms[0].task, []).append(data)
    found = [_across(task, models) for task, models in by_task.items() if len(models) > 1]
    return [one for one in found if len(one.models) > 1]


def _candidates(data: PlotData) -> tuple[ArmRow, ...]:
    """The model's best arms with a curve and a correct draw."""
    arms = () if data.best is None else data.best.arms
    return tuple(arm for arm in arms if arm.correct and data.depth(arm) > 1)


def _across(task: str, found: Sequence[PlotData]) -> Across:
    kept, shared = _sharing(found)
    left_out = tuple(data.arms[0].model for data in found if data not in kept)
    lines = [Line(arm, place, tuple(data.curve_on(arm, shared))) for place, data in enumerate(kept) for arm in _candidates(data)]
    greedy = [
        (place, sum(problem.c / problem.n for problem in tried) / len(tried))
        for place, data in enumerate(kept)
        for arm in data.of(GREEDY)
        if len(tried := data.on(arm, shared)) == len(shared)
    ]
    return Across(
        task=task,
        models=tuple(data.arms[0].model for data in kept),
        problems=len(shared),
        lines=tuple(lines),
        greedy=tuple(greedy),
        best=_best(kept, lines, shared),
        left_out=left_out,
    )


def _sharing(found: Sequence[PlotData]) -> tuple[list[PlotData], frozenset[int]]:
    """The models that have at least half of the problems of those before them, and the problems that all of these share.

    The model with most problems comes first; its arms' common problems are its own.
    """
    own = {id(data): _problems(data) for data in found}
    kept: list[PlotData] = []
    shared: frozenset[int] = frozenset()
    for data in sorted(found, key=lambda data: -len(own[id(data)])):  # stable: the first of equals
        common = own[id(data)] & shared if kept else own[id(data)]
        if common and 2 * len(common) >= len(shared) and len(kept) < MOST:
            kept.append(data)
            shared = common
    return [data for data in found if data in kept], shared


def _problems(data: PlotData) -> frozenset[int]:
    sets = [{problem.problem_id for problem in data.found.tried[arm.arm_id]} for arm in _candidates(data)]
    return frozenset(set.intersection(*sets))


def _best(kept: Sequence[PlotData], lines: Sequence[Line], shared: frozenset[int]) -> tuple[Line, Line, Difference] | None:
    """The two best lines of different models, and their difference; None where but one model is left."""
    if len(kept) < 2:
        return None
    k = max(set.intersection(*({at.k for at in line.curve} for line in lines)))  # 1 at least
    shares = {line.arm.arm_id: next(at.pass_at_k for at in line.curve if at.k == k) for line in lines}
    ranked = sorted(lines, key=lambda line: -shares[line.arm.arm_id])
    first = ranked[0]
    kin = [line for line in ranked if line.place != first.place]
    second = next((line for line in kin if _training(line.arm) != _training(first.arm)), kin[0])
    tried = [kept[line.place].on(line.arm, shared) for line in (first, second)]
    solved_by = {line.arm.arm_id: kept[line.place].solved_by.get(line.arm.arm_id, {}) for line in (first, second)}
    return first, second, difference_at((first.arm, second.arm), tried, solved_by, k)


def _training(arm: ArmRow) -> tuple[str, str]:
    """What the iterations of one training have in common; a model that was not trained here has it alone."""
    return (arm.root_digest, trained_name(arm.model)[0]) if arm.steps else (arm.model_digest, "")
