"""Training, selection, votes and samples at equal budgets, on problems that no training used: for `report --budget`.

Knows arms, their answers and how they are paired; `stats` computes. Must not know layout.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from esprobe.analysis.answers import Answers, Numbers, read_answers, read_digests
from esprobe.analysis.arms import Filter
from esprobe.analysis.best import unlike
from esprobe.analysis.families import Family, FamilyArm, TrainingFamily, read_families
from esprobe.analysis.samplers import Kind, Sampler, Samplers, Spent, drawn
from esprobe.arms import samples_of
from esprobe.errors import UserError
from esprobe.methods import GREEDY, TEMPERATURE, named
from esprobe.stats.best_of import powers
from esprobe.stats.budget import Delta, Word, equal_budget, trained_interval
from esprobe.stats.intervals import Interval
from esprobe.stats.resampling import Floats, Ints
from esprobe.stats.samplers import Drawn, Measure
from esprobe.tasks.records import load_problems
from esprobe.tasks.registry import find_task

MEASURES: tuple[Measure, ...] = ("value", "expression", "pass")
KINDS: tuple[Kind, ...] = ("greedy", "temperature", "perturbation", "best of N", "top K")


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

    def final(self, measure: Measure) -> Verdict | None:
        """The verdict on the last models, with as many answers per test problem as they have."""
        found = [verdict for verdict in self.verdicts if verdict.trained.measure == measure]
        return max(found, key=lambda verdict: (verdict.trained.before, verdict.trained.own), default=None)


def budgets(connection: sqlite3.Connection, chosen: Filter, margin: float, train: Path | None) -> list[Budget]:
    """One for each family of trainings. Raises UserError where there is none that can be compared with its base."""
    read = _Read(connection, chosen, train)
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
    raise UserError(
        "no trained model passes these filters, so there is no budget to compare at; "
        "`esprobe train --name es --evaluate-every 5 --test-data FILE` makes some and evaluates them"
    )


def _passes(family: Family, training: TrainingFamily, model: str | None) -> bool:
    names = [family.root, training.name, *(line.name for line in training.lines)]
    return model is None or any(model.partition("@")[0].lower() in name.lower() for name in names)


@dataclass(frozen=True)
class _Read:
    """What several families have in common: read once."""

    connection: sqlite3.Connection
    chosen: Filter
    train: Path | None
    numbers: Numbers = field(default_factory=Numbers)
    answers: dict[int, Answers] = field(default_factory=dict)

    def of(self, arm: FamilyArm) -> Answers:
        """The answers of an arm."""
        if arm.arm_id not in self.answers:
            self.answers[arm.arm_id] = read_answers(self.connection, self.chosen.scorer, arm.arm_id, self.numbers)
        return self.answers[arm.arm_id]

    def on(self, arm: FamilyArm, problems: Ints) -> Answers | None:
        """Those on these problems; None where no draw has all of them."""
        found = self.of(arm).on(problems)
        return found if len(found.draws) else None

    def given(self, task_name: str) -> set[int] | None:
        """The problems of the file with training problems; None without one."""
        if self.train is None:
            return None
        task = find_task(task_name)
        if task is None:
            raise UserError(f"{self.train}: problems of task {task_name!r} cannot be read here; leave --train out")
        ids = read_digests(self.connection)
        return {ids[problem.digest] for problem in load_problems(task, self.train) if problem.digest in ids}


def _budget(read: _Read, family: Family, training: TrainingFamily, margin: float) -> Budget:
    anchor, tested = _tested(read, family, training)
    base = [a for a in family.arms.get(family.digest, ()) if a.method != "imported" and not unlike(anchor, a) and _shown(read, a)]
    samplers, choice, left_out = _samplers(read, base, tested, read.given(anchor.task))
    if not samplers:
        raise UserError(
            f"{family.root} has no rollouts on the {len(tested):,} problems that {training.name} is tested on; "
            f"`esprobe sample-temp --model {family.root} --data FILE` with the file of these problems"
        )
    offers = Samplers(samplers, choice, len(tested))
    measures = [m for m in MEASURES if m != "expression" or all("expression" in s.tested.ballots for s in samplers)]
    trained = list(_trained(read, family, training, anchor, tested, measures))
    verdicts = [_verdict(one, each, offers, len(tested), margin, family.root) for one, each in trained]
    return Budget(
        base=family.root,
        task=anchor.task,
        scorer=read.chosen.scorer,
        training=training,
        problems=len(tested),
        choice=choice,
        trained_on=len(training.used),
        margin=margin,
        points=(*_points(offers, measures, len(tested), family.root), *(one for one, _ in trained)),
        verdicts=tuple(verdict for verdict in verdicts if verdict is not None),
        candidates=tuple(sampler.arm for sampler in samplers),
        left_out=tuple(left_out),
    )


def _shown(read: _Read, arm: FamilyArm) -> bool:
    """Whether the arm passes the filters for arms; the greedy answer always does."""
    chosen = read.chosen
    return arm.method == GREEDY.name or (
        (not chosen.methods or arm.method in chosen.methods)
        and (not chosen.values or arm.value in chosen.values)
        and (not chosen.arms or arm.arm_id in chosen.arms)
    )


def _tested(read: _Read, family: Family, training: TrainingFamily) -> tuple[FamilyArm, Ints]:
    """A greedy arm of a last model, to whose settings all others must be alike, and the problems that the last models all have.

    Without those that any training of the family used, and those in the file.
    """
    last = [line.models.get(training.last) for line in training.lines]
    arms = [arm for model in last if model for arm in family.arms.get(model.digest, ()) if arm.method == GREEDY.name]
    arms = [arm for arm in arms if read.chosen.task in (None, arm.task)]
    for anchor in sorted(arms, key=lambda arm: -len(read.of(arm).problems)):
        alike = [arm for arm in arms if not unlike(anchor, arm)]
        met = [set(read.of(arm).problems.tolist()) for arm in alike]
        if len(met) == len(last):
            shared = set.intersection(*met) - family.used - (read.given(anchor.task) or set())
            greedy = [a for a in family.arms.get(family.digest, ()) if a.method == GREEDY.name and not unlike(anchor, a)]
            common = [shared & set(read.of(arm).problems.tolist()) for arm in greedy]
            shared = max(common, key=len, default=set()) or shared
            if len(shared) > 1:
                return anchor, np.array(sorted(shared), dtype=np.int64)
    name = f"{training.lines[0].name}@{training.last}"
    raise UserError(
        f"the last models of {training.name} have not all answered the same problems that no training used; "
        f"`esprobe sample-temp --model {name} --data FILE` with a file of test problems, likewise for every training seed"
    )


def _samplers(
    read: _Read, arms: Sequence[FamilyArm], tested: Ints, given: set[int] | None
) -> tuple[list[Sampler], int, list[tuple[FamilyArm, str]]]:
    """The base's arms on the tested problems and those to choose on; how many these are; the arms left out, and why."""
    on_test = {arm.arm_id: answers for arm in arms if (answers := read.on(arm, tested)) is not None}
    left_out = [(arm, "not on all test problems") for arm in arms if arm.arm_id not in on_test]
    others = {arm.arm_id: _others(read, arm, tested, given) for arm in arms if arm.arm_id in on_test}
    choice = _common([others[arm.arm_id] for arm in arms if arm.arm_id in on_test and arm.method != GREEDY.name])
    samplers = []
    for arm in arms:
        if arm.arm_id not in on_test:
            continue
        scored = read.on(arm, choice) if len(choice) else None
        found, reason = _sampler(arm, on_test[arm.arm_id], scored), ""
        if samples_of(arm.settings) > 1:
            reason = "several samples of each model"
        elif len(choice) and scored is None and arm.method != GREEDY.name:
            reason = "not on the problems that settings are chosen on"
        elif not found.tested.count:
            reason = "other models on the problems that settings are chosen on"
        if reason:
            left_out.append((arm, reason))
        else:
            samplers.append(found)
    return samplers, len(choice), left_out


def _sampler(arm: FamilyArm, tested: Answers, scored: Answers | None) -> Sampler:
    """The draws of an arm; of perturbed models those alone that have answered both kinds of problems."""
    if scored is not None and named(arm.method).shares_draws:
        both = np.intersect1d(tested.draws, scored.draws)
        tested, scored = tested.only(both), scored.only(both)
    return Sampler(arm, drawn(tested), None if scored is None else drawn(scored))


def _others(read: _Read, arm: FamilyArm, tested: Ints, given: set[int] | None) -> Ints:
    """The problems of an arm that are not tested and have about as many draws as most of these have."""
    answers = read.of(arm)
    allowed = ~np.isin(answers.problems, tested)
    if given is not None:
        allowed &= np.isin(answers.problems, list(given))
    draws = answers.there.sum(0)
    found: Ints = answers.problems[allowed & (2 * draws >= draws[allowed].max(initial=0))]
    return found


def _common(found: Sequence[Ints]) -> Ints:
    """The problems that all have in common that have any; an arm that shares fewer than two with the largest does not count."""
    common = max(found, key=len, default=np.zeros(0, dtype=np.int64))
    for other in sorted(found, key=len, reverse=True):
        shared = np.intersect1d(common, other)
        common = shared if len(shared) > 1 else common
    return common if len(common) > 1 else common[:0]


def _trained(
    read: _Read, family: Family, training: TrainingFamily, anchor: FamilyArm, tested: Ints, measures: Sequence[Measure]
) -> Iterator[tuple[Point, Floats]]:
    """Every evaluated iteration: greedily, and at 1, 2, 4, … samples where its models have been sampled; (S, m) with each."""
    for iteration in sorted(set.intersection(*(set(line.models) for line in training.lines))):
        models = [line.models[iteration] for line in training.lines]
        alike = [[a for a in family.arms.get(model.digest, ()) if not unlike(anchor, a)] for model in models]
        before = float(np.mean([model.spent for model in models]))
        for arm, each in _evaluated(read, alike, tested):
            for own in powers(min(one.count for one in each)):
                for measure in (m for m in measures if m == "pass" or all(m in one.ballots for one in each)):
                    table = np.array([one.at(measure, own) for one in each])
                    point = Point(
                        kind="trained",
                        model=f"{training.name}@{iteration}",
                        arm=arm,
                        measure=measure,
                        own=own,
                        size=None,
                        before=before,
                        total=before + own * len(tested),
                        value=float(table.mean()),
                        interval=trained_interval(table),
                    )
                    yield point, table


def _evaluated(read: _Read, arms: Sequence[Sequence[FamilyArm]], tested: Ints) -> Iterator[tuple[FamilyArm | None, list[Drawn]]]:
    """The models' greedy answers, and their samples at the T that has most draws, then the lowest; all training seeds alike."""
    depths: dict[float, int] = {}
    found: dict[float | None, list[tuple[FamilyArm, Drawn]]] = {}
    for of_model in arms:
        for arm in of_model:
            if arm.method in (GREEDY.name, TEMPERATURE.name) and (answers := read.on(arm, tested)) is not None:
                found.setdefault(arm.value, []).append((arm, drawn(answers)))
    whole = {value: each for value, each in found.items() if len(each) == len(arms)}
    if None in whole:
        yield None, [one for _, one in whole[None]]
    depths = {value: min(one.count for _, one in each) for value, each in whole.items() if value is not None}
    if depths:
        best = max(sorted(depths), key=lambda value: depths[value])
        yield whole[best][0][0], [one for _, one in whole[best]]


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
