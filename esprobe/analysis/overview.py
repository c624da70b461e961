"""What a report is about: the arms that pass a filter, their problems, and their greedy baselines, by model and task.

Reads the views once for all tables. Knows no layout.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

from esprobe.analysis.arms import ArmRow, Filter, passing, read_arms, with_ks, with_shared_draws
from esprobe.analysis.baselines import Tried, counts, read_tried
from esprobe.analysis.best import Counts, baseline, of_models
from esprobe.analysis.families import read_trained_on
from esprobe.analysis.split import read_components
from esprobe.analysis.verdicts import read_by_draw
from esprobe.analysis.votes import KEYS, ArmVotes, Key, read_votes

if TYPE_CHECKING:  # numpy is slow to load
    from esprobe.stats.components import Components


@dataclass(frozen=True)
class ModelOnTask:
    """The arms of one model and task. `greedy`: arm → problem → what its greedy baseline solves; nothing without a baseline.

    `votes`: by arm, where they were read.
    """

    arms: tuple[ArmRow, ...]
    tried: Mapping[int, Sequence[Tried]]
    greedy: Mapping[int, Mapping[int, float]]
    votes: Mapping[int, ArmVotes] = field(default_factory=dict)

    @property
    def solved_anything(self) -> bool:
        """Whether any rollout of the arms is correct."""
        return any(arm.correct for arm in self.arms)

    @property
    def can_vote(self) -> bool:
        """Whether votes say anything: an arm has several draws, and there is a correct answer to vote for."""
        return self.solved_anything and any(arm.draws > 1 for arm in self.arms)

    def by_problems(self) -> list[list[ArmRow]]:
        """The arms by the problems that they have; what needs no skill depends on nothing else."""
        found: dict[tuple[int, ...], list[ArmRow]] = {}
        for arm in self.arms:
            found.setdefault(tuple(problem.problem_id for problem in self.tried[arm.arm_id]), []).append(arm)
        return list(found.values())

    def greedy_share(self, arm: ArmRow) -> float | None:
        """The share of the arm's problems that its greedy baseline solves."""
        found = self.greedy[arm.arm_id]
        return fmean(found.values()) if found else None


@dataclass(frozen=True)
class Overview:
    """`arms`: those that pass the filter; `every`: all of the scorer, since a baseline may be among the others.

    `ks`: the k that the user asks for; empty where these are left to the report. `tried`: arm → its problems. `components`: arm →
    how its variance splits between and within models, of arms with several samples per model.
    `votes`: by arm, where they were read. `trained_on`: digest of each trained model that is shown → problems.
    """

    scorer: str
    ks: tuple[int, ...]
    arms: tuple[ArmRow, ...]
    every: tuple[ArmRow, ...]
    tried: Mapping[int, Sequence[Tried]]
    components: "Mapping[int, Components]" = field(default_factory=dict)
    votes: Mapping[int, ArmVotes] = field(default_factory=dict)
    trained_on: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def trained_on_of(self, arm: ArmRow, problems: Collection[int] | None = None) -> int:
        """How many of these problems, or of all of the arm's, its model was trained on."""
        used = self.trained_on.get(arm.model_digest, frozenset())
        return len(used.intersection(self.counts[arm.arm_id] if problems is None else problems))

    @cached_property
    def counts(self) -> Mapping[int, Counts]:
        """Arm → problem → draws and correct draws."""
        return {arm_id: counts(tried) for arm_id, tried in self.tried.items()}

    @property
    def problems(self) -> set[int]:
        """The problems that any of the arms has drawn."""
        return {problem for arm in self.arms for problem in self.counts[arm.arm_id]}

    @property
    def ballots(self) -> tuple[Key, ...]:
        """The kinds of ballot that any draw of the arms has; none where votes were not read."""
        return tuple(key for key in KEYS if any(found.has(key) for found in self.votes.values()))

    @cached_property
    def models(self) -> list[ModelOnTask]:
        """The arms by model and task, with their baselines."""
        return [
            ModelOnTask(
                arms=tuple(arms),
                tried={arm.arm_id: self.tried[arm.arm_id] for arm in arms},
                greedy={arm.arm_id: self.greedy(arm, [problem.problem_id for problem in self.tried[arm.arm_id]]) for arm in arms},
                votes={arm.arm_id: self.votes[arm.arm_id] for arm in arms if arm.arm_id in self.votes},
            )
            for arms in of_models(self.arms)
        ]

    def greedy(self, arm: ArmRow, problems: Sequence[int]) -> dict[int, float]:
        """Problem → the share of correct draws of the greedy arm that matches the arm and has all of the problems."""
        found = baseline(arm, self.every, self.counts, problems)
        if found is None:
            return {}
        solved = self.counts[found.arm_id]
        return {problem: solved[problem].c / solved[problem].n for problem in problems}


def read_overview(
    connection: sqlite3.Connection, chosen: Filter, ks: Sequence[int] = (), *, intervals: bool = True, votes: bool = False
) -> Overview:
    """Reads the arms. Raises UserError if none passes the filter.

    Without `intervals` those of perturbation arms are over problems alone: what models add takes time to count. So do `votes`,
    for which every ballot is read.
    """
    every = read_arms(connection, chosen.scorer)
    tried = read_tried(connection, chosen.scorer)
    arms = [with_ks(arm, tried[arm.arm_id], ks) for arm in passing(every, chosen)]
    cast = {arm.arm_id: read_votes(connection, chosen.scorer, arm, tried[arm.arm_id]) for arm in arms} if votes else {}
    used = read_trained_on(connection) if any(arm.steps for arm in arms) else {}
    seen = Overview(
        scorer=chosen.scorer, ks=tuple(ks), arms=tuple(arms), every=tuple(every), tried=tried, votes=cast, trained_on=used
    )
    if not intervals:
        return seen
    arms = [_with_models(connection, chosen.scorer, arm, tried[arm.arm_id]) for arm in arms]
    split = {arm.arm_id: found for arm in arms if (found := read_components(connection, chosen.scorer, arm)) is not None}
    return replace(seen, arms=tuple(arms), components=split)


def _with_models(connection: sqlite3.Connection, scorer: str, arm: ArmRow, tried: Sequence[Tried]) -> ArmRow:
    if not arm.shares_draws:
        return arm
    return with_shared_draws(arm, tried, read_by_draw(connection, scorer, arm.arm_id))
