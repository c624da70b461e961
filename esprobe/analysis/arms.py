"""The arms of a database with their pass@k and 95% intervals, read from the views.

Knows the views and the statistics, no model and no layout. Computes nothing that a view has.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from typing import Any, NamedTuple, TypeVar

from esprobe.analysis.baselines import Tried, chance_at, counts
from esprobe.analysis.reading import query
from esprobe.arms import called, is_member_arm, low_rank, samples_of, trained_name, truncation
from esprobe.errors import UserError
from esprobe.methods import NAMES, named, place
from esprobe.stats.estimator import pass_at_k
from esprobe.stats.intervals import ByDraw, Interval, SharedDraws, share_interval, shared_draws, variance_over_problems
from esprobe.stats.nulls import over_guessing
from esprobe.stats.paired import Difference


@dataclass(frozen=True)
class Filter:
    """Which arms a report, its plots and comparisons show; empty is all. `model`: see `is_meant`."""

    scorer: str = "countdown"
    model: str | None = None
    methods: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    task: str | None = None
    arms: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Raises UserError for an unknown method."""
        for method in self.methods:
            if method not in NAMES:
                raise UserError(f"there is no method {method!r}; methods: {', '.join(NAMES)}")

    def passes(self, arm: "ArmRow") -> bool:
        """Whether the arm is shown."""
        return (
            (self.model is None or is_meant(self.model, arm.model, arm.folder))
            and (not self.methods or arm.method in self.methods)
            and (not self.values or arm.value in self.values)
            and (self.task is None or arm.task == self.task)
            and (not self.arms or arm.arm_id in self.arms)
        )


def is_meant(asked: str, name: str, folder: str | None) -> bool:
    """Whether the user means this model: by a part of its name, in either case, or by the path of its folder."""
    return called(asked).lower() in name.lower() or lies_in(folder, asked)


def lies_in(folder: str | None, path: str) -> bool:
    """Whether a model's folder, which is stored with its links resolved, is the one at this path."""
    return folder is not None and folder == os.path.realpath(path)


@dataclass(frozen=True)
class AtK:
    """One row of the view `pass_at_k`: the mean over `problems` problems, its standard error, and chance at the same k.

    `shared` is what perturbed models add to the squared standard error; None where problems share no draws.
    """

    k: int
    problems: int
    pass_at_k: float
    stderr: float | None
    chance: float | None
    shared: SharedDraws | None = None

    @cached_property
    def interval(self) -> Interval | None:
        """The 95% interval, over problems and over the models that they share; None for a single perturbed model."""
        variance = None if self.stderr is None else self.stderr**2
        return share_interval(self.pass_at_k, variance, self.problems, self.shared)


@dataclass(frozen=True)
class ArmRow:
    """One row of the view `arm_summary`, with its pass@k by k."""

    arm_id: int
    task: str
    model: str
    model_digest: str  # two models may have one name
    method: str
    value: float | None
    problems: int
    draws: int
    rollouts: int
    correct: int
    problems_solved: int
    mean_tokens: float | None
    mean_prompt_tokens: float | None
    cut_off: int  # rollouts that ended at the limit of tokens
    nan: int  # rollouts that ended because the model's output was no number
    solvable: int  # problems proven so
    unknown: int  # problems proven neither solvable nor impossible
    settings: dict[str, Any]
    rounding: dict[str, Any] | None  # what the weights' dtype leaves of σ, by group of weights
    at: Mapping[int, AtK]
    root: str = ""  # the base that a trained model comes from; any other model itself
    root_digest: str = ""
    steps: int = 0  # of training, from it
    digest: str = ""  # the same in every database, unlike its id
    folder: str | None = None  # where the model's files were last found; None of one that its name finds

    @property
    def shares_draws(self) -> bool:
        """Whether a draw is one perturbed model that answers all problems."""
        return named(self.method).shares_draws

    @property
    def samples(self) -> int:
        """How many consecutive draws are of one perturbed model."""
        return samples_of(self.settings) if self.shares_draws else 1


_SUMMARY = (
    "WITH RECURSIVE line(id, root, root_digest, steps) AS (SELECT id, name, digest, 0 FROM model WHERE parent_id IS NULL "
    "UNION ALL SELECT model.id, line.root, line.root_digest, line.steps + 1 FROM line JOIN model ON model.parent_id = line.id) "
    "SELECT s.arm_id, s.task, s.model, model.digest AS model_digest, s.method, s.value, s.problems, s.draws, s.rollouts, "
    "s.correct, s.problems_solved, s.mean_tokens, s.mean_prompt_tokens, s.cut_off, s.nan, s.solvable, s.unknown, s.settings, "
    "arm.rounding, line.root, line.root_digest, line.steps, arm.digest, model.folder FROM arm_summary AS s "
    "JOIN arm ON arm.id = s.arm_id JOIN model ON model.id = arm.model_id JOIN line ON line.id = model.id "
    "WHERE s.scorer = ? ORDER BY s.value, s.arm_id"
)


def read_arms(connection: sqlite3.Connection, scorer: str) -> list[ArmRow]:
    """All arms with rollouts of this scorer, by model, method and value; of perturbation arms without what models add.

    Raises UserError if there are none.
    """
    sql = "SELECT arm_id, k, problems, pass_at_k, stderr, chance FROM pass_at_k WHERE scorer = ?"
    at: dict[int, dict[int, AtK]] = {}
    for arm_id, *rest in query(connection, sql, [scorer])[1]:
        at.setdefault(arm_id, {})[rest[0]] = AtK(*rest)
    columns, rows = query(connection, _SUMMARY, [scorer])
    if not rows:
        raise _unscored(connection, scorer)
    arms = []
    for row in rows:
        fields = dict(zip(columns, row, strict=True))
        fields["settings"] = json.loads(fields["settings"])
        fields["rounding"] = json.loads(fields["rounding"] or "null")
        arms.append(ArmRow(**fields, at=at[fields["arm_id"]]))
    return sorted(arms, key=_place)  # stable: then by value


def _unscored(connection: sqlite3.Connection, scorer: str) -> UserError:
    """The error where the scorer has no verdicts; names those that have, for a task's own scorer bears the task's name."""
    there = [name for (name,) in query(connection, "SELECT DISTINCT scorer FROM score ORDER BY scorer")[1]]
    if not there:
        return UserError(f"no rollouts scored by {scorer!r} yet; run `esprobe sample-temp`, or `esprobe score --scorer …`")
    return UserError(
        f"no rollouts scored by {scorer!r} yet; there are verdicts of {', '.join(there)}; `esprobe score --scorer …` makes others"
    )


def _place(arm: ArmRow) -> tuple[Any, ...]:
    """A base comes before what was trained from it, and that by training and iteration."""
    training = trained_name(arm.model)[0] if arm.steps else ""
    return arm.root, arm.root_digest, arm.steps > 0, training, arm.steps, arm.model, arm.model_digest, arm.task, place(arm.method)


def passing(arms: Sequence[ArmRow], chosen: Filter) -> list[ArmRow]:
    """The arms that pass the filter, in their order, without members of trainings (see `is_member_arm`).

    Raises UserError if there are none, or no such arm_id.
    """
    known = {arm.arm_id for arm in arms}
    for arm_id in chosen.arms:
        if arm_id not in known:
            raise no_arm(arm_id)
    found = [arm for arm in arms if chosen.passes(arm)]
    # an iteration has problems of its own, so its members compare with nothing
    found = [arm for arm in found if arm.arm_id in chosen.arms or not is_member_arm(arm.settings)] or found
    if not found:
        raise UserError("no arm passes these filters; `esprobe report` without filters shows all arms")
    return found


def no_arm(arm_id: int) -> UserError:
    """The error where the user names an arm that does not exist."""
    return UserError(f"there is no arm {arm_id} here; `esprobe arms` lists them")


def with_ks(arm: ArmRow, tried: Sequence[Tried], ks: Iterable[int]) -> ArmRow:
    """The arm with pass@k at these k too, as far as it has so many draws; the view has only 1, 2, 4, … and n."""
    more = {k: estimate([problem for problem in tried if problem.n >= k], k) for k in ks if k <= arm.draws and k not in arm.at}
    return replace(arm, at={**arm.at, **more}) if more else arm


def with_shared_draws(arm: ArmRow, tried: Sequence[Tried], correct: ByDraw) -> ArmRow:
    """The perturbation arm with what its models add to the variance at each k.

    A draw is one perturbed model for all problems, so its luck does not average out over problems.
    """
    cells = list(counts(tried).values())
    return replace(arm, at={k: replace(at, shared=shared_draws(cells, correct, k, arm.samples)) for k, at in arm.at.items()})


def estimate(tried: Sequence[Tried], k: int) -> AtK:
    """The pass@k of problems that have at least k draws each, as the view `pass_at_k` has it, without what models add."""
    each = [pass_at_k(problem.n, problem.c, k) for problem in tried]
    variance = variance_over_problems(each)
    return AtK(
        k=k,
        problems=len(each),
        pass_at_k=sum(each) / len(each),
        stderr=None if variance is None else sqrt(variance),
        chance=chance_at(tried, k),
    )


def above_chance(arm: ArmRow, tried: Sequence[Tried], k: int) -> Difference | None:
    """pass@k − chance, paired by problem, with its interval; None without such a k, or where a problem's chance is not known."""
    able = [problem for problem in tried if problem.n >= k]
    chances = [problem.chance for problem in able if problem.chance is not None]
    if k not in arm.at or not able or len(chances) < len(able):
        return None
    return over_guessing(list(counts(able).values()), chances, k, arm.at[k].shared)


class ListedArm(NamedTuple):
    """An arm of the database, scored or not, with what it has. `made`: the model that was trained from its draws."""

    arm_id: int
    task: str
    model: str
    model_digest: str
    method: str
    value: float | None
    problems: int
    draws: int
    rollouts: int
    made: str | None
    settings: dict[str, Any]


A = TypeVar("A", bound=ArmRow | ListedArm)


def told_apart(arms: Sequence[A]) -> dict[int, str]:
    """By arm: the settings in which arms of one name differ, within a task and model; and `shared-seed`, which no name says."""
    alike: dict[tuple[str, str, str, float | None, tuple[str, ...]], list[A]] = {}
    for arm in arms:
        own = tuple(truncation(arm.settings) + low_rank(arm.settings))
        alike.setdefault((arm.task, arm.model, arm.method, arm.value, own), []).append(arm)
    found = {}
    for group in alike.values():
        keys = sorted({key for arm in group for key in arm.settings if key != "prompt_digest"})
        differing = [key for key in keys if len({str(arm.settings.get(key)) for arm in group}) > 1]
        for arm in group:
            named = differing if "noise" in differing or arm.settings.get("noise") != "shared-seed" else [*differing, "noise"]
            words = [f"{key}={arm.settings[key]}" for key in named if arm.settings.get(key) not in (None, "")]
            if len({other.model_digest for other in group}) > 1:
                words.append(f"model={arm.model_digest[:8]}")
            if words:
                found[arm.arm_id] = " ".join(words)
    return found
