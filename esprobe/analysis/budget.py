"""Training, selection, votes and samples at equal budgets, on problems that no training used: for `report --budget`.

Knows arms, their answers and how they are paired; `stats` computes. Must not know layout.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from esprobe.analysis.arms import Filter, lies_in
from esprobe.analysis.best import unlike
from esprobe.analysis.families import Family, FamilyArm, TrainingFamily, read_families
from esprobe.analysis.held_out import Reader, samplers_of, tested_problems
from esprobe.analysis.samplers import Kind, Samplers, Spent, drawn
from esprobe.arms import called, trained_name
from esprobe.errors import UserError
from esprobe.methods import GREEDY, PERTURBATION, TEMPERATURE
from esprobe.stats.best_of import powers
from esprobe.stats.budget import Delta, Word, equal_budget, trained_interval
from esprobe.stats.intervals import Interval
from esprobe.stats.resampling import Floats, Ints
from esprobe.stats.samplers import Drawn, Measure

MEASURES: tuple[Measure, ...] = ("value", "expression", "pass")
KINDS: tuple[Kind, ...] = (GREEDY.name, TEMPERATURE.name, PERTURBATION.name, "best of N", "top K")


@dataclass(frozen=True)
class Point:
    """One figure: what `own` rollouts per test problem are worth after `before` rollouts, by one measure.

    `model`: the base's name, or NAME@ITERATION; `arm`: None for greedy answers of trained models. `size`: the N to choose from.
    """

    kind: Kind
    model: str
    arm: FamilyArm | None
    measure: Measure
    own: int
    size: int | None
    before: float
    total: float
    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Verdict:
    """A trained model and the best sampler at the same budget. `wanted`: rollouts per test problem that the budget buys.

    `sampler.total` is less than the budget where fewer draws, or models, are stored.
    """

    trained: Point
    sampler: Point
    wanted: float
    delta: Delta
    word: Word
    needed: int | None


@dataclass(frozen=True)
class Budget:
    """What one family of trainings is compared with. `trained_on`: problems that any of its trainings used.

    `choice`: how many problems settings are chosen on; 0 where there are none, and the settings of samples are chosen on the test
    problems. `left_out`: arms of the base, and why. `candidates`: all others.
    """

    base: str
    task: str
    scorer: str
    training: TrainingFamily
    problems: int
    choice: int
    trained_on: int
    margin: float
    points: tuple[Point, ...]
    verdicts: tuple[Verdict, ...]
    candidates: tuple[FamilyArm, ...]
    left_out: tuple[tuple[FamilyArm, str], ...]

    def of(self, measure: Measure) -> list[Point]:
        """The points by this measure."""
        return [point for point in self.points if point.measure == measure]

    @property
    def solved_anything(self) -> bool:
        """Whether any answer to the test problems is correct."""
        return any(point.value for point in self.points)

    def final(self, measure: Measure) -> Verdict | None:
        """The verdict on the last models, with as many answers per test problem as they have."""
        found = [verdict for verdict in self.verdicts if verdict.trained.measure == measure]
        return max(found, key=lambda verdict: (verdict.trained.before, verdict.trained.own), default=None)


def budgets(connection: sqlite3.Connection, chosen: Filter, margin: float, train: Path | None) -> list[Budget]:
    """One for each family of trainings. Raises UserError where there is none that can be compared with its base."""
    read = Reader(connection, chosen, train)
    found, refused = [], []
    for family in read_families(connection, chosen.scorer):
        for training in family.trainings:
            if _passes(family, training, chosen.model):
                try:
                    found.append(_budget(read, family, training, margin))
                except UserError as error:
                    refused.append(error)
    if found:
        return found
    if refused:
        raise refused[0]
    why = "no trained model here" if chosen.model is None else f"no trained model or base here is called {chosen.model!r}"
    raise UserError(
        f"{why}, so there is no budget to compare at; `esprobe train --evaluate-every 5` makes some and evaluates them, and "
        "`esprobe train --dry-run` says what that would take"
    )


def _passes(family: Family, training: TrainingFamily, model: str | None) -> bool:
    if model is None:
        return True
    names = [family.root, training.name, *(line.name for line in training.lines)]
    folders = [family.folder, *(one.folder for line in training.lines for one in line.models.values())]
    asked = trained_name(called(model))[0].lower()
    return any(asked in name.lower() for name in names) or any(lies_in(folder, model) for folder in folders)


def _budget(read: Reader, family: Family, training: TrainingFamily, margin: float) -> Budget:
    anchor, tested = tested_problems(read, family, training)
    samplers, choice, left_out = samplers_of(read, family, anchor, tested)
    if not samplers:
        raise UserError(
            f"{family.root} has no rollouts on the {len(tested):,} problems that {training.name} is tested on; "
            "`esprobe sample-temp` with that --model and the file of these problems as --data makes some"
        )
    offers = Samplers(samplers, len(choice), len(tested))
    measures = [m for m in MEASURES if m == "pass" or all(s.has(m) for s in samplers)]
    trained = list(_trained(read, family, training, anchor, (tested, choice), measures))
    verdicts = [_verdict(one, each, offers, len(tested), margin, family.root) for one, each in trained]
    return Budget(
        base=family.root,
        task=anchor.task,
        scorer=read.chosen.scorer,
        training=training,
        problems=len(tested),
        choice=len(choice),
        trained_on=len(training.used),
        margin=margin,
        points=(*_points(offers, measures, len(tested), family.root), *(one for one, _ in trained)),
        verdicts=tuple(verdict for verdict in verdicts if verdict is not None),
        candidates=tuple(sampler.arm for sampler in samplers),
        left_out=tuple(left_out),
    )


def _trained(
    read: Reader,
    family: Family,
    training: TrainingFamily,
    anchor: FamilyArm,
    problems: tuple[Ints, Ints],
    measures: list[Measure],
) -> Iterator[tuple[Point, Floats]]:
    """Every evaluated iteration: greedily, and at 1, 2, 4, … samples where its models have been sampled; (S, m) with each.

    `problems`: those that are tested, and those to choose on.
    """
    for iteration in training.iterations:
        models = [line.models[iteration] for line in training.lines]
        alike = [[a for a in family.arms.get(model.digest, ()) if not unlike(anchor, a)] for model in models]
        before = float(np.mean([model.spent for model in models]))
        for measure, arm, each in _evaluated(read, alike, problems, measures):
            for own in powers(min(one.count for one in each)):
                table = np.array([one.at(measure, own) for one in each])
                point = Point(
                    kind="trained",
                    model=training.name_at(iteration),
                    arm=arm,
                    measure=measure,
                    own=own,
                    size=None,
                    before=before,
                    total=before + own * len(problems[0]),
                    value=float(table.mean()),
                    interval=trained_interval(table),
                )
                yield point, table


def _evaluated(
    read: Reader, arms: Sequence[Sequence[FamilyArm]], problems: tuple[Ints, Ints], measures: Sequence[Measure]
) -> Iterator[tuple[Measure, FamilyArm | None, list[Drawn]]]:
    """The models' greedy answers by each measure, and their samples at one T, the same for all training seeds.

    T is the best on the problems to choose on where the models have answered these at every T; else that with most draws, then
    the lowest.
    """
    tested, choice = problems
    found: dict[float | None, list[FamilyArm]] = {}
    for arm in (arm for of_model in arms for arm in of_model):
        if arm.method in (GREEDY.name, TEMPERATURE.name) and read.on(arm, tested) is not None:
            found.setdefault(arm.value, []).append(arm)
    whole = {value: each for value, each in found.items() if len(each) == len(arms)}
    there = {value: [drawn(a) for arm in each if (a := read.on(arm, tested))] for value, each in whole.items()}
    elsewhere = {value: [drawn(a) for arm in each if (a := read.on(arm, choice))] for value, each in whole.items()}
    sampled = sorted(value for value in whole if value is not None)
    for measure in measures:
        able = [value for value in sampled if all(measure == "pass" or measure in one.ballots for one in there[value])]
        if None in whole and all(measure == "pass" or measure in one.ballots for one in there[None]):
            yield measure, None, there[None]
        if able:
            known = len(choice) and all(len(elsewhere[value]) == len(arms) for value in able)
            best = max(able, key=lambda value: _worth(elsewhere[value], measure) if known else _depth(there[value]))
            yield measure, whole[best][0], there[best]


def _depth(each: Sequence[Drawn]) -> int:
    return min(one.count for one in each)


def _worth(each: Sequence[Drawn], measure: Measure) -> float:
    """By this measure with as many samples as there are, mean over models; nothing where ballots are lacking."""
    if not all(measure == "pass" or measure in one.ballots for one in each):
        return 0.0
    return float(np.mean([one.at(measure, _depth(each)).mean() for one in each]))


def _verdict(trained: Point, each: Floats, offers: Samplers, problems: int, margin: float, base: str) -> Verdict | None:
    """The trained models against what is best for the same budget; None where the base has nothing to choose."""
    best = offers.best(trained.measure, trained.total)
    if best is None:
        return None
    delta = equal_budget(each, best.each, best.of_models, best.models)
    return Verdict(
        trained=trained,
        sampler=_point(best, trained.measure, problems, base),
        wanted=trained.total / problems,
        delta=delta,
        word=delta.word(margin),
        needed=delta.problems_needed(margin),
    )


def _points(offers: Samplers, measures: Sequence[Measure], problems: int, base: str) -> Iterator[Point]:
    """Every sampler by itself at 1, 2, 4, … rollouts per test problem, or models to choose from, its settings chosen there."""
    for measure in measures:
        for kind in KINDS:
            seen = set()
            for depth in offers.depths(kind):
                spent = offers.at(measure, kind, depth)
                if spent is not None and (spent.own, spent.size) not in seen:
                    seen.add((spent.own, spent.size))
                    yield _point(spent, measure, problems, base)


def _point(spent: Spent, measure: Measure, problems: int, base: str) -> Point:
    return Point(
        kind=spent.kind,
        model=base,
        arm=spent.arm,
        measure=measure,
        own=spent.own,
        size=spent.size,
        before=float(spent.before),
        total=float(spent.before + spent.own * problems),
        value=spent.value,
        interval=spent.interval,
    )
