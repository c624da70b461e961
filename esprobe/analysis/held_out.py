"""Which problems are tested and which settings are chosen on, and which arms of a base have answered both.

Knows arms and their answers, which it reads once. Must not know what they are worth, nor layout.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from esprobe.analysis.answers import Answers, Numbers, read_answers, read_digests
from esprobe.analysis.arms import Filter
from esprobe.analysis.best import unlike
from esprobe.analysis.families import Family, FamilyArm, TrainingFamily
from esprobe.analysis.samplers import Sampler, drawn
from esprobe.arms import samples_of
from esprobe.errors import UserError
from esprobe.methods import GREEDY, IMPORTED, named
from esprobe.stats.resampling import Ints
from esprobe.tasks.records import load_problems
from esprobe.tasks.registry import find_task


@dataclass(frozen=True)
class Reader:
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


def tested_problems(read: Reader, family: Family, training: TrainingFamily) -> tuple[FamilyArm, Ints]:
    """A greedy arm, to whose settings all others must be alike, and the problems that are tested.

    They are those that the last models which have all been evaluated have in common, and with the base's greedy arm, without
    what any training of the family used, and without those in the file. Raises UserError where there are fewer than two.
    """
    for iteration in reversed(training.iterations):
        greedy = [_greedy(read, family.arms.get(line.models[iteration].digest, ())) for line in training.lines]
        for anchor in greedy[0]:
            alike = [[arm for arm in arms if not unlike(anchor, arm)] for arms in greedy]
            if not all(alike):
                continue
            excluded = family.used | (read.given(anchor.task) or set())
            shared = set.intersection(*(_problems(read, arms[0]) for arms in alike)) - excluded
            bases = [arm for arm in _greedy(read, family.arms.get(family.digest, ())) if not unlike(anchor, arm)]
            shared = max((shared & _problems(read, arm) for arm in bases), key=len, default=set()) or shared
            if len(shared) > 1:
                return anchor, np.array(sorted(shared), dtype=np.int64)
    last = training.lines[0].models[max(training.lines[0].models)].name
    raise UserError(
        f"no two problems have been answered by the models of every seed of {training.name} that no training used; "
        f"`esprobe sample-temp --model {last} --data FILE` with a file of test problems, "
        "likewise for every seed"
    )


def _greedy(read: Reader, arms: Sequence[FamilyArm]) -> list[FamilyArm]:
    """The greedy arms of the task that is asked for, that with most problems first."""
    found = [arm for arm in arms if arm.method == GREEDY.name and read.chosen.task in (None, arm.task)]
    return sorted(found, key=lambda arm: -len(read.of(arm).problems))


def _problems(read: Reader, arm: FamilyArm) -> set[int]:
    return set(read.of(arm).problems.tolist())


def samplers_of(
    read: Reader, family: Family, anchor: FamilyArm, tested: Ints
) -> tuple[list[Sampler], Ints, list[tuple[FamilyArm, str]]]:
    """The base's arms on the tested problems and those to choose on; these problems; the arms left out, and why."""
    given = read.given(anchor.task)
    arms = [
        a for a in family.arms.get(family.digest, ()) if a.method != IMPORTED.name and not unlike(anchor, a) and _shown(read, a)
    ]
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
    return samplers, choice, left_out


def _sampler(arm: FamilyArm, tested: Answers, scored: Answers | None) -> Sampler:
    """The draws of an arm; of perturbed models those alone that have answered both kinds of problems."""
    if scored is not None and named(arm.method).shares_draws:
        both = np.intersect1d(tested.draws, scored.draws)
        tested, scored = tested.only(both), scored.only(both)
    return Sampler(arm, drawn(tested), None if scored is None else drawn(scored))


def _others(read: Reader, arm: FamilyArm, tested: Ints, given: set[int] | None) -> Ints:
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


def _shown(read: Reader, arm: FamilyArm) -> bool:
    """Whether the arm passes the filters for arms; the greedy answer always does."""
    chosen = read.chosen
    return arm.method == GREEDY.name or (
        (not chosen.methods or arm.method in chosen.methods)
        and (not chosen.values or arm.value in chosen.values)
        and (not chosen.arms or arm.arm_id in chosen.arms)
    )
