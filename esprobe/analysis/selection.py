"""The populations of perturbed models that one may choose from, and what choosing is worth: for `report --select`.

Knows arms, their answers and which of them are alike; `reselection` computes. Must not know layout.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esprobe.analysis.answers import Answers, Numbers, read_answers, read_digests, read_seeds
from esprobe.analysis.arms import ArmRow, Filter, passing, read_arms
from esprobe.analysis.best import unlike
from esprobe.analysis.population import Sampled, models_of, population_of, sampled_at, shared_problems
from esprobe.errors import UserError
from esprobe.methods import GREEDY, PERTURBATION, TEMPERATURE
from esprobe.stats.best_of import powers
from esprobe.stats.resampling import Floats, Ints
from esprobe.stats.reselection import SEED, Selected, select
from esprobe.stats.selection import BY_EXPRESSION, halves
from esprobe.tasks.records import load_problems
from esprobe.tasks.registry import find_task

MOST_VOTES = 64  # the largest K without -k; RandOpt takes 50


@dataclass(frozen=True)
class Selection:
    """What choosing is worth in one population: all models of `arms` that have answered all problems.

    `samples`: of each model on each problem. `left_out`: models that lack an answer. `train`: how many of the problems models are
    chosen on, None where that is random halves. `on_train`, `on_test`: (n,), each model's accuracy where models are chosen and
    where they are tested; without a train file on one random half of the problems and on the other. `temperatures`: the arms
    compared with. `sizes`, `ks`: the N and K.
    """

    arms: tuple[ArmRow, ...]
    models: int
    samples: int
    left_out: int
    problems: int
    train: int | None
    greedy: ArmRow | None
    temperatures: tuple[ArmRow, ...]
    on_train: Floats
    on_test: Floats
    sizes: tuple[int, ...]
    ks: tuple[int, ...]
    selected: Selected

    @property
    def every(self) -> tuple[ArmRow, ...]:
        """The arms that are chosen from and those that they are compared with."""
        return (*self.arms, *([self.greedy] if self.greedy else []), *self.temperatures)

    @property
    def solved_anything(self) -> bool:
        """Whether any rollout of these arms is correct."""
        return any(arm.correct for arm in self.every)

    @property
    def votes_by_expression(self) -> bool:
        """Whether there are votes by expression too."""
        return bool(self.selected.at(f"vote_test{BY_EXPRESSION}"))


def selections(connection: sqlite3.Connection, chosen: Filter, ks: Sequence[int], train: Path | None) -> list[Selection]:
    """One for each perturbation arm that passes the filter; for all of them together where the filter names several arms.

    Raises UserError where there is none, or nothing to choose among.
    """
    read = _Read(connection, chosen.scorer, read_arms(connection, chosen.scorer))
    found, refused = [], []
    for arms in _populations(read.every, chosen):
        try:
            found.append(_selection(read, arms, ks, train))
        except UserError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    return found


@dataclass(frozen=True)
class _Read:
    """What several populations have in common: read, and counted, once."""

    connection: sqlite3.Connection
    scorer: str
    every: Sequence[ArmRow]
    answers: dict[int, Answers] = field(default_factory=dict)
    numbers: Numbers = field(default_factory=Numbers)
    sampled: dict[tuple[object, ...], Sampled] = field(default_factory=dict)

    def of(self, arm: ArmRow) -> Answers:
        """The answers of an arm."""
        if arm.arm_id not in self.answers:
            self.answers[arm.arm_id] = read_answers(self.connection, self.scorer, arm.arm_id, self.numbers)
        return self.answers[arm.arm_id]

    def samples(self, arms: Sequence[ArmRow], problems: Ints, ks: Sequence[int]) -> Sampled:
        """What these temperature arms make of the problems."""
        key = (tuple(arm.arm_id for arm in arms), problems.tobytes(), tuple(ks))
        if key not in self.sampled:
            self.sampled[key] = sampled_at([self.of(arm).on(problems) for arm in arms], ks)
        return self.sampled[key]


def _populations(every: Sequence[ArmRow], chosen: Filter) -> list[list[ArmRow]]:
    passed = passing(every, chosen)
    arms = [arm for arm in passed if arm.method == PERTURBATION.name]
    if chosen.arms and len(arms) < len(passed):
        other = next(arm for arm in passed if arm not in arms)
        raise UserError(f"arm {other.arm_id} is a {other.method} arm; --select chooses among the models of perturbation arms")
    if not arms:
        raise UserError("no perturbation arm passes these filters; `esprobe sample-perturb` makes one to choose models from")
    if len(chosen.arms) < 2:
        return [[arm] for arm in arms]
    for arm in arms[1:]:
        if _of(arm) != _of(arms[0]):
            raise UserError(
                f"arms {arms[0].arm_id} and {arm.arm_id} differ in model, task or noise, so they are not one population"
            )
    return [arms]


def _of(arm: ArmRow) -> tuple[object, ...]:
    """What models of one population have in common: their seeds are directions of the same noise."""
    return arm.model_digest, arm.task, arm.settings.get("noise"), arm.settings.get("rank")


def _selection(read: _Read, arms: Sequence[ArmRow], ks: Sequence[int], train: Path | None) -> Selection:
    problems = shared_problems([read.of(arm) for arm in arms])
    models = models_of([(read.of(arm), read_seeds(read.connection, arm.arm_id)) for arm in arms], problems)
    count, name = len(models.correct), " + ".join(f"arm {arm.arm_id}" for arm in arms)
    if count < 2 or len(problems) < 4:
        raise UserError(f"{name}: {count} models on {len(problems)} problems; choosing needs at least 2 models and 4 problems")
    given = None if train is None else _given(read.connection, train, arms[0].task, problems, name)
    votes_at = _votes_at(ks, count, name)
    others = [arm for arm in _alike(read.every, arms) if len(read.of(arm).on(problems).draws)]
    greedy = next((arm for arm in others if arm.method == GREEDY.name), None)
    temperatures = [arm for arm in others if arm.method == TEMPERATURE.name]
    base = None if greedy is None else read.of(greedy).on(problems)
    population = population_of(models, base, read.samples(temperatures, problems, votes_at))
    sizes = powers(count)
    half = halves(len(problems), 1, np.random.default_rng(SEED))[0] > 0 if given is None else given
    shares = models.correct / models.samples  # (n, m)
    return Selection(
        arms=tuple(arms),
        models=count,
        samples=models.samples,
        left_out=models.left_out,
        problems=len(problems),
        train=None if given is None else int(given.sum()),
        greedy=greedy,
        temperatures=tuple(temperatures),
        on_train=shares[:, half].mean(1),
        on_test=shares[:, ~half].mean(1),
        sizes=tuple(sizes),
        ks=tuple(votes_at),
        selected=select(population, given, sizes, votes_at),
    )


def _alike(every: Sequence[ArmRow], arms: Sequence[ArmRow]) -> list[ArmRow]:
    """The greedy and temperature arms of the unperturbed model that are otherwise set like these arms."""
    return [
        other
        for other in every
        if other.method in (GREEDY.name, TEMPERATURE.name)
        and (other.model_digest, other.task) == (arms[0].model_digest, arms[0].task)
        and not any(unlike(arm, other) for arm in arms)
    ]


def _votes_at(ks: Sequence[int], models: int, name: str) -> list[int]:
    """The K that are asked for, or 1, 2, 4, … up to half of the models: of all of them nothing is chosen."""
    if not ks:
        return [k for k in powers(MOST_VOTES) if k <= max(1, models // 2)]
    fitting = sorted({k for k in ks if k <= models})
    if not fitting:
        raise UserError(f"{name}: there are {models} models; -k must be at most that")
    return fitting


def _given(connection: sqlite3.Connection, path: Path, task_name: str, problems: Ints, name: str) -> NDArray[np.bool_]:
    """Which of the problems are in the file: (m,)."""
    task = find_task(task_name)
    if task is None:
        raise UserError(f"{path}: problems of task {task_name!r} cannot be read here; leave --train out")
    ids = read_digests(connection)
    wanted = [ids[problem.digest] for problem in load_problems(task, path) if problem.digest in ids]
    given = np.isin(problems, wanted)
    if min(given.sum(), (~given).sum()) < 2:
        raise UserError(
            f"{path}: has {given.sum()} of the {len(problems)} problems of {name}; at least 2 must be in the file, "
            "to choose on, and 2 not, to test on"
        )
    return given
