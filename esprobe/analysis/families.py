"""Base models with what was trained from them: trainings that differ in their seed alone, what each spent, and on which problems.

Knows the tables of models, arms and rollouts. Must not know what the models are worth, nor layout.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from esprobe.analysis.reading import query
from esprobe.arms import is_member_arm, trained_name


@dataclass(frozen=True)
class FamilyArm:
    """An arm of a base or of a trained model, but not one whose draws are the members of a training."""

    arm_id: int
    model_digest: str
    task: str
    method: str
    value: float | None
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Trained:
    """A trained model. `spent`: rollouts of all members on the way to it from the base, `used`: on which problems.

    Of a model that was trained elsewhere the database has only how many rollouts were spent. `iteration`: of NAME@ITERATION; 1 of
    any other name.
    """

    name: str
    digest: str
    iteration: int
    spent: int
    used: frozenset[int]
    folder: str | None


@dataclass(frozen=True)
class Line:
    """The models of one training, by iteration. `seed`: the training's, None where it is not known."""

    name: str
    seed: int | None
    models: Mapping[int, Trained]


@dataclass(frozen=True)
class TrainingFamily:
    """Trainings of equal settings from one base, which differ in their seed. `name`: theirs without the seed."""

    name: str
    lines: tuple[Line, ...]

    @property
    def iterations(self) -> list[int]:
        """Those that all of them have, in order."""
        return sorted(set.intersection(*(set(line.models) for line in self.lines)))

    def name_at(self, iteration: int) -> str:
        """What its models of this iteration are called, of several seeds together without the seed."""
        return self.lines[0].models[iteration].name if len(self.lines) == 1 else f"{self.name}@{iteration}"

    @property
    def used(self) -> set[int]:
        """The problems that any of them was trained on."""
        return {problem for line in self.lines for model in line.models.values() for problem in model.used}


@dataclass(frozen=True)
class Family:
    """A base model, what was trained from it, and the arms of all of them by the digest of their model."""

    root: str
    folder: str | None
    digest: str
    trainings: tuple[TrainingFamily, ...]
    arms: Mapping[str, Sequence[FamilyArm]] = field(repr=False)

    @cached_property
    def used(self) -> set[int]:
        """The problems that any training of the family used."""
        return {problem for training in self.trainings for problem in training.used}


_MODELS = "SELECT id, digest, name, parent_id, arm_id, json_extract(updates, '$.training'), folder FROM model ORDER BY id"
_ARMS = (
    "SELECT arm.id, model.digest, arm.task, arm.method, arm.value, arm.settings FROM arm JOIN model ON model.id = arm.model_id "
    "WHERE EXISTS (SELECT 1 FROM score WHERE score.scorer = ? AND score.arm_id = arm.id) ORDER BY arm.value, arm.id"
)
_MEMBERS = (
    "SELECT arm_id, problem_id, count(*) FROM rollout WHERE arm_id IN (SELECT arm_id FROM model WHERE arm_id IS NOT NULL) "
    "GROUP BY arm_id, problem_id"
)


def read_families(connection: sqlite3.Connection, scorer: str) -> list[Family]:
    """Every model that has no parent, with its trainings, which may be none, and the arms with verdicts of this scorer."""
    arms: dict[str, list[FamilyArm]] = {}
    for arm_id, digest, task, method, value, text in query(connection, _ARMS, [scorer])[1]:
        settings = json.loads(text)
        if not is_member_arm(settings):
            arms.setdefault(digest, []).append(FamilyArm(arm_id, digest, task, method, value, settings))
    rows = {row[0]: row for row in query(connection, _MODELS)[1]}
    trained = _trained(rows, connection)
    root_of = {model_id: _root(rows, model_id) for model_id in rows}
    return [
        Family(name, folder, digest, _trainings({i: one for i, one in trained.items() if root_of[i] == model_id}, rows), arms)
        for model_id, digest, name, parent, *_, folder in rows.values()
        if parent is None
    ]


def read_trained_on(connection: sqlite3.Connection) -> dict[str, frozenset[int]]:
    """Digest of each trained model → the problems that it was trained on."""
    rows = {row[0]: row for row in query(connection, _MODELS)[1]}
    return {model.digest: model.used for model in _trained(rows, connection).values()}


def _root(rows: Mapping[int, Sequence[Any]], model_id: int) -> int:
    while rows[model_id][3] is not None:
        model_id = rows[model_id][3]
    return model_id


def _trained(rows: Mapping[int, Sequence[Any]], connection: sqlite3.Connection) -> dict[int, Trained]:
    """By the model's id, which is above its parent's or not: a merge may bring children first."""
    members: dict[int, tuple[int, set[int]]] = {}
    for arm_id, problem, n in query(connection, _MEMBERS)[1]:
        count, problems = members.get(arm_id, (0, set()))
        problems.add(problem)
        members[arm_id] = count + n, problems
    found: dict[int, Trained] = {}
    for model_id in rows:
        line = [model_id]
        while line[-1] not in found and rows[line[-1]][3] is not None:
            line.append(rows[line[-1]][3])
        for step in reversed(line):
            _, digest, name, parent, arm_id, training, folder = rows[step]
            if step not in found and parent is not None:
                told = json.loads(training or "{}").get("rollouts_spent", 0)  # of a model that was trained elsewhere
                before, (spent, used) = found.get(parent), members.get(arm_id, (told, set()))
                found[step] = Trained(
                    name=name,
                    digest=digest,
                    iteration=trained_name(name)[1] or 1,
                    spent=spent + (before.spent if before else 0),
                    used=frozenset(used) | (before.used if before else frozenset()),
                    folder=folder,
                )
    return found


def _trainings(trained: Mapping[int, Trained], rows: Mapping[int, Sequence[Any]]) -> tuple[TrainingFamily, ...]:
    """The models by training, and the trainings by what they are called and set to apart from their seed."""
    lines: dict[str, dict[int, Trained]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for model_id, model in trained.items():
        name = trained_name(model.name)[0]
        lines.setdefault(name, {})[model.iteration] = model
        settings[name] = json.loads(rows[model_id][5] or "{}")
    groups: dict[tuple[str, str], list[Line]] = {}
    for name, models in lines.items():
        own = settings[name]
        seed, _ = own.pop("seed", None), own.pop("rollouts_spent", None)
        stem = name.removesuffix(f"-{seed}")
        groups.setdefault((stem, json.dumps(own, sort_keys=True)), []).append(Line(name, seed, models))
    return tuple(
        TrainingFamily(
            stem if len(lines) > 1 else lines[0].name, tuple(sorted(lines, key=lambda line: (line.seed or 0, line.name)))
        )
        for (stem, _), lines in groups.items()
    )
