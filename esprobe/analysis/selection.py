"""The populations of perturbed models that one may choose from, and what choosing is worth: for `report --select`.

Knows arms, their answers and which of them are alike; `reselection` computes. Must not know layout.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esprobe.analysis.answers import read_answers, read_digests, read_seeds
from esprobe.analysis.arms import ArmRow, Filter, passing, read_arms
from esprobe.analysis.best import unlike
from esprobe.analysis.population import models_of, population_of, shared_problems
from esprobe.errors import UserError
from esprobe.methods import GREEDY, PERTURBATION, TEMPERATURE
from esprobe.stats.best_of import powers
from esprobe.stats.resampling import Floats, Ints
from esprobe.stats.reselection import Selected, select
from esprobe.tasks.records import load_problems
from esprobe.tasks.registry import find_task

MOST_VOTES = 64  # the largest K without -k; RandOpt takes 50


@dataclass(frozen=True)
class Selection:
    """What choosing is worth in one population: all models of `arms` that have answered all problems.

    `samples`: of each model on each problem. `left_out`: models that lack an answer. `train`: how many of the problems models are
    chosen on, None where that is random halves. `on_train`, `on_test`: (n,), each model's accuracy where models are chosen and
    where they are tested; without a train file on every second problem and on the others. `temperatures`: the arms compared with.
    `sizes`, `ks`: the N and K.
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


def selections(connection: sqlite3.Connection, chosen: Filter, ks: Sequence[int], train: Path | None) -> list[Selection]:
    """One for each perturbation arm that passes the filter; for all of them together where the filter names several arms.

    Raises UserError where there is none, or nothing to choose among.
    """
    every = read_arms(connection, chosen.scorer)
    found, refused = [], []
    for arms in _populations(every, chosen):
        try:
            found.append(_selection(connection, chosen.scorer, every, arms, ks, train))
        except UserError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    return found


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
        if (arm.model_digest, arm.task) != (arms[0].model_digest, arms[0].task):
            raise UserError(f"arms {arms[0].arm_id} and {arm.arm_id} differ in model or task, so they are not one population")
    return [arms]


def _selection(
    connection: sqlite3.Connection,
    scorer: str,
    every: Sequence[ArmRow],
    arms: Sequence[ArmRow],
    ks: Sequence[int],
    train: Path | None,
) -> Selection:
    others = _alike(every, arms)
    read = read_answers(connection, scorer, [arm.arm_id for arm in (*arms, *others)])
    problems = shared_problems([read[arm.arm_id] for arm in arms])
    models = models_of([(read[arm.arm_id], read_seeds(connection, arm.arm_id)) for arm in arms], problems)
    count, name = len(models.correct), " + ".join(f"arm {arm.arm_id}" for arm in arms)
    if count < 2 or len(problems) < 4:
        raise UserError(f"{name}: {count} models on {len(problems)} problems; choosing needs at least 2 models and 4 problems")
    given = None if train is None else _given(connection, train, arms[0].task, problems, name)
    votes_at = _votes_at(ks, count, name)
    # what is compared with them has every problem
    whole = {arm.arm_id: read[arm.arm_id].on(problems) for arm in others}
    others = [arm for arm in others if len(whole[arm.arm_id].draws)]
    greedy = next((arm for arm in others if arm.method == GREEDY.name), None)
    temperatures = [arm for arm in others if arm.method == TEMPERATURE.name]
    population = population_of(
        models, None if greedy is None else whole[greedy.arm_id], [whole[arm.arm_id] for arm in temperatures], votes_at
    )
    sizes = powers(count)
    half = np.arange(len(problems)) % 2 == 0 if given is None else given
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
