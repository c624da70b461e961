"""What the page shows besides rollouts, as plain JSON: arms with figures, problems, how often each arm solved each, the settings.

Knows an exploration and what the page's script reads. Knows neither rollout texts nor HTML. Trainings are in `training`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from esprobe.analysis.arms import ArmRow, told_apart
from esprobe.analysis.best import of_models
from esprobe.analysis.exploration import Exploration, Pair
from esprobe.methods import place
from esprobe.report.explore.shorten import ends
from esprobe.report.explore.training import trainings
from esprobe.report.plots.findings import finding, unbroken
from esprobe.report.render import visible
from esprobe.report.words import arm_name, counted, distinct, names_of

SAID = 4  # pairs of arms that the page says something of before its table
DIGITS = 12  # of a digest in links: a clash among a million has a probability of one in 500


@dataclass(frozen=True)
class Core:
    """The page's first data element, and where in it arms and problems are: id → place."""

    json: dict[str, Any]
    place_of_arm: Mapping[int, int]
    place_of_problem: Mapping[int, int]


def core(found: Exploration, database: str) -> Core:
    """Everything but the rollouts. `database`: what the file is called."""
    problems = [
        {
            "id": problem.problem_id,
            "link": problem.digest[:DIGITS],
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
            "first": found.pairs[0].first,
            "second": found.pairs[0].second,
            "found": _findings(found),
            "trainings": trainings(found.trainings),
            "settings": _settings(found.arms),
            "prompt": found.prompt and found.prompt._asdict(),
            "origin": found.origin._asdict() | {"database": visible(database)},
        },
        place_of_arm={arm.arm_id: place for place, arm in enumerate(found.arms)},
        place_of_problem={problem.problem_id: place for place, problem in enumerate(found.problems)},
    )


def _described(found: Exploration) -> list[dict[str, Any]]:
    """The arms as plain JSON, each with a name that no other has, and a short one for columns and lines."""
    arms = found.arms
    families = list(dict.fromkeys((arm.root_digest, arm.task) for arm in arms))
    alone = {key: visible(name) for group in of_models(arms) for key, name in names_of(group).items()}
    short, apart = _short_names(arms), told_apart(arms)
    return [
        {
            "id": arm.arm_id,
            "link": arm.digest[:DIGITS],
            "name": name,
            "short": short[arm.arm_id],
            "alone": alone[arm.arm_id],
            "task": visible(arm.task),
            "model": visible(arm.model),
            "family": families.index((arm.root_digest, arm.task)),
            "method": visible(arm.method),
            "kind": place(arm.method),
            "value": visible(arm_name(arm).removeprefix(arm.method).strip()),
            "apart": visible(apart.get(arm.arm_id, "")),
            "trained": visible(f"{counted(arm.steps, 'step')} of training from {arm.root}") if arm.steps else "",
            "problems": arm.problems,
            "draws": arm.draws,
            "solved": arm.problems_solved,
            "solvable": arm.solvable,
            "unknown": arm.unknown,
            "tokens": arm.mean_tokens,
            "cutOff": arm.cut_off / arm.rollouts,
            "at": [[k, at.pass_at_k, at.chance, *ends(at.interval)] for k, at in sorted(arm.at.items())],
            "votes": _votes(found, arm),
        }
        for arm, name in zip(arms, _names(arms), strict=True)
    ]


def _names(arms: Iterable[ArmRow]) -> list[str]:
    """`temperature T 0.6`, with the model before it where there are several, and with settings where these differ."""
    arms = list(arms)
    several = len({arm.model for arm in arms}) > 1
    apart = told_apart(arms)
    names = []
    for arm in arms:
        label = arm_name(arm)
        value = "" if arm.value is None else f" {label.removeprefix(arm.method).strip()}"
        settings = f" ({apart[arm.arm_id]})" if arm.arm_id in apart else ""
        names.append(visible((f"{arm.model}: " if several else "") + arm.method + value + settings))
    return [name if names.count(name) == 1 else f"{name} (arm {arm.arm_id})" for arm, name in zip(arms, names, strict=True)]


def _short_names(arms: Iterable[ArmRow]) -> dict[int, str]:
    """`T 0.6`, where there are several models `es@8 T 0.6`, the last part of its name first."""
    arms = list(arms)
    if len({arm.model_digest for arm in arms}) == 1:
        return {arm_id: visible(name) for arm_id, name in names_of(arms).items()}
    names = [visible(f"{PurePath(arm.model).name or arm.model} {arm_name(arm)}") for arm in arms]
    ids = [arm.arm_id for arm in arms]
    return dict(zip(ids, distinct(names, ids), strict=True))


def _findings(found: Exploration) -> list[str]:
    """What the paired differences say, of the two arms to open with first; that nothing is correct where that is so."""
    if not any(arm.correct for arm in found.arms):
        return ["No draw of any arm is correct."]
    said = [_finding(found, pair) for pair in found.pairs if pair.differences]
    more = len(said) - SAID
    return [*said[:SAID], *([f"{counted(more, 'more model')} in the table."] if more > 0 else [])]


def _finding(found: Exploration, pair: Pair) -> str:
    """What the difference of two arms is at as many draws as both have, and at which k it is certain."""
    arms = [found.arms[i] for i in (pair.first, pair.second)]
    alike = arms[0].model_digest == arms[1].model_digest
    named = names_of(arms) if alike else _short_names(found.arms)
    first, second = (visible(named[arm.arm_id]) for arm in arms)
    model = f"{visible(arms[0].model)}: " if alike and len(found.models) > 1 else ""
    return unbroken(model + finding(first, second, pair.differences))


def _votes(found: Exploration, arm: ArmRow) -> dict[str, list[list[Any]]]:
    """Kind of ballot → [k, vote@k, interval] at the k of pass@k; nothing for a single draw, which has nothing to outvote."""
    votes, ks = found.votes[arm.arm_id], sorted(arm.at)
    curves = {key: [vote for k in ks if (vote := votes.at(key, k)) is not None] for key in found.ballots if arm.draws > 1}
    return {key: [[vote.k, vote.vote_at_k, *ends(vote.interval)] for vote in curve] for key, curve in curves.items() if curve}


def _settings(arms: Iterable[ArmRow]) -> list[list[Any]]:
    """[setting, value, places of the arms that have it], the settings of all arms first."""
    found: dict[tuple[str, str], list[int]] = {}
    arms = list(arms)
    for at, arm in enumerate(arms):
        for key, value in arm.settings.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found.setdefault((visible(key), visible(text)), []).append(at)
    rows = [[key, text, places] for (key, text), places in found.items()]
    return sorted(rows, key=lambda row: (len(row[2]) < len(arms), row[0]))
