"""What the page shows beside rollouts: arms, problems, and how often each arm solved each problem.

Reads the views and the table `problem`. Knows neither rollout texts nor HTML, and nothing of what a payload means.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from esprobe.analysis.arms import ArmRow, Filter, load_arms, told_apart
from esprobe.analysis.best import Counts, choose, of_models, share
from esprobe.analysis.reading import query
from esprobe.analysis.verdicts import read_firsts, read_solved
from esprobe.report.render import visible
from esprobe.report.words import arm_name

Counted = tuple[int, int, int | None]  # draws, correct draws, place of the first correct one from 0, None where there is none


@dataclass(frozen=True)
class Results:
    """Everything of one scorer. `cells[arm][problem]` is None where the arm never drew the problem."""

    scorer: str
    arms: list[dict[str, Any]]
    problems: list[dict[str, Any]]
    cells: list[list[Counted | None]]
    first: int  # the two arms, by their place in `arms`, that the page opens with; the same twice if there is one arm
    second: int
    rollouts: int

    def place_of_arm(self) -> dict[int, int]:
        """Arm id → its place in `arms`."""
        return {arm["id"]: i for i, arm in enumerate(self.arms)}

    def place_of_problem(self) -> dict[int, int]:
        """Problem id → its place in `problems`."""
        return {problem["id"]: i for i, problem in enumerate(self.problems)}


def gather(connection: sqlite3.Connection, scorer: str) -> Results:
    """All arms and problems that the scorer has judged. Raises UserError if there are none."""
    rows = load_arms(connection, Filter(scorer))
    solved, firsts = read_solved(connection, scorer), read_firsts(connection, scorer)
    drawn = {problem_id for counts in solved.values() for problem_id in counts}
    _, known = query(
        connection,
        "SELECT id, payload, CASE WHEN task = ?1 THEN solvable END, CASE WHEN task = ?1 THEN solution END, "
        "CASE WHEN task = ?1 THEN chance END FROM problem ORDER BY id",
        [scorer],
    )
    problems = [
        {"id": i, "payload": json.loads(payload), "solvable": solvable, "solution": solution, "chance": chance}
        for i, payload, solvable, solution, chance in known
        if i in drawn
    ]

    def cell(arm_id: int, problem_id: int) -> Counted | None:
        counts = solved[arm_id].get(problem_id)
        return None if counts is None else (counts.n, counts.c, firsts.get(arm_id, {}).get(problem_id))

    table = [[cell(arm.arm_id, problem["id"]) for problem in problems] for arm in rows]
    first, second = opening_pair(rows, solved)
    return Results(scorer, _described(rows), problems, table, first, second, sum(arm.rollouts for arm in rows))


def opening_pair(arms: Sequence[ArmRow], solved: Mapping[int, Counts]) -> tuple[int, int]:
    """Places of the two arms to open with: the best temperature and the best perturbation arm of the first model that has both.

    Without such a model, the best arm of any method and another of its model; without that, any two that share problems.
    """
    groups = of_models(arms)
    choices = [choice for group in groups if (choice := choose(group, solved))]
    both = next((choice for choice in choices if len(choice.best) == 2), None)
    places = {arm.arm_id: i for i, arm in enumerate(arms)}
    if both:
        return places[both.best[0]], places[both.best[1]]
    first = choices[0].best[0] if choices else max(arms, key=lambda arm: arm.at[arm.draws].pass_at_k).arm_id
    others = [arm for arm in arms if arm.arm_id != first]
    mine = arms[places[first]]
    others.sort(key=lambda arm: (share(solved[first], solved[arm.arm_id]) is None, arm.model_digest != mine.model_digest))
    return places[first], places[others[0].arm_id] if others else places[first]


def _described(arms: Sequence[ArmRow]) -> list[dict[str, Any]]:
    """The arms as plain JSON, each with a name that no other has."""
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
        }
        for arm, name in zip(arms, names, strict=True)
    ]
