"""What the page shows besides rollouts, as plain JSON: arms with names and votes, problems, how often each arm solved each.

Knows an exploration and what the page's script reads. Knows neither rollout texts nor HTML.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from esprobe.analysis.arms import ArmRow, told_apart
from esprobe.analysis.exploration import Exploration
from esprobe.report.render import visible
from esprobe.report.words import arm_name


@dataclass(frozen=True)
class Core:
    """The page's first data element, and where in it arms and problems are: id → place."""

    json: dict[str, Any]
    place_of_arm: Mapping[int, int]
    place_of_problem: Mapping[int, int]


def core(found: Exploration) -> Core:
    """Everything but the rollouts."""
    problems = [
        {
            "id": problem.problem_id,
            "payload": problem.payload,
            "solvable": None if problem.solvable is None else int(problem.solvable),
            "solution": problem.solution,
            "chance": problem.chance,
        }
        for problem in found.problems
    ]
    return Core(
        json={
            "scorer": visible(found.scorer),
            "arms": _described(found),
            "problems": problems,
            "cells": found.cells,
            "first": found.pair[0],
            "second": found.pair[1],
        },
        place_of_arm={arm.arm_id: place for place, arm in enumerate(found.arms)},
        place_of_problem={problem.problem_id: place for place, problem in enumerate(found.problems)},
    )


def _described(found: Exploration) -> list[dict[str, Any]]:
    """The arms as plain JSON, each with a name that no other has."""
    arms = found.arms
    several = len({arm.model for arm in arms}) > 1
    apart = told_apart(arms)
    names = []
    for arm in arms:
        label = arm_name(arm)
        value = "" if arm.value is None else f" {label.removeprefix(arm.method).strip()}"
        settings = f" ({apart[arm.arm_id]})" if arm.arm_id in apart else ""
        names.append(visible((f"{arm.model}: " if several else "") + arm.method + value + settings))
    return [
        {
            "id": arm.arm_id,
            "name": name if names.count(name) == 1 else f"{name} (arm {arm.arm_id})",
            "model": visible(arm.model),
            "problems": arm.problems,
            "draws": arm.draws,
            "solved": arm.problems_solved,
            "solvable": arm.solvable,
            "unknown": arm.unknown,
            "at": [[k, at.pass_at_k, at.chance] for k, at in sorted(arm.at.items())],
            "votes": _votes(found, arm),
        }
        for arm, name in zip(arms, names, strict=True)
    ]


def _votes(found: Exploration, arm: ArmRow) -> dict[str, list[list[float]]]:
    """Kind of ballot → [k, vote@k] at the k of pass@k; nothing for a single draw, which has nothing to outvote."""
    votes, ks = found.votes[arm.arm_id], sorted(arm.at)
    curves = {key: [vote for k in ks if (vote := votes.at(key, k)) is not None] for key in found.ballots if arm.draws > 1}
    return {key: [[vote.k, vote.vote_at_k] for vote in curve] for key, curve in curves.items() if curve}
