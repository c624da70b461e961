"""What the page shows beside rollouts: arms, problems, and how often each arm solved each problem.

Reads the views and the table `problem`. Knows neither rollout texts nor HTML, and nothing of what a payload means.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from esprobe.reading import query
from esprobe.report import ArmRow, Filter, load_arms, told_apart


@dataclass(frozen=True)
class Results:
    """Everything of one scorer. `cells[arm][problem]` is (draws n, correct c), None where the arm never drew the problem."""

    scorer: str
    arms: list[dict[str, Any]]
    problems: list[dict[str, Any]]
    cells: list[list[tuple[int, int] | None]]
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
    _, solved = query(connection, "SELECT arm_id, problem_id, n, c FROM solved WHERE scorer = ?", [scorer])
    drawn = {problem_id for _, problem_id, _, _ in solved}
    _, known = query(connection, "SELECT id, payload, solvable, solution, chance FROM problem ORDER BY id")
    problems = [
        {"id": i, "payload": json.loads(payload), "solvable": solvable, "solution": solution, "chance": chance}
        for i, payload, solvable, solution, chance in known
        if i in drawn
    ]
    places = {problem["id"]: i for i, problem in enumerate(problems)}
    cells: dict[int, list[tuple[int, int] | None]] = {arm.arm_id: [None] * len(problems) for arm in rows}
    for arm_id, problem_id, n, c in solved:
        cells[arm_id][places[problem_id]] = (n, c)
    table = [cells[arm.arm_id] for arm in rows]
    first, second = opening_pair(rows, table)
    return Results(scorer, _described(rows), problems, table, first, second, sum(arm.rollouts for arm in rows))


def opening_pair(arms: Sequence[ArmRow], cells: Sequence[Sequence[tuple[int, int] | None]]) -> tuple[int, int]:
    """The best temperature arm and the best perturbation arm by pass@n; where a method is missing, the best of the others.

    The second is chosen among the arms that share a problem with the first, if there are any.
    """
    ranked = sorted(range(len(arms)), key=lambda i: -arms[i].at[arms[i].draws].pass_at_k)
    first = next((i for i in ranked if arms[i].method == "temperature"), None)
    if first is None:
        first = next((i for i in ranked if arms[i].method != "perturbation"), ranked[0])
    others = [i for i in ranked if i != first]
    shared = [i for i in others if any(a and b for a, b in zip(cells[first], cells[i], strict=True))]
    others = shared or others or [first]
    return first, next((i for i in others if arms[i].method == "perturbation"), others[0])


def _described(arms: Sequence[ArmRow]) -> list[dict[str, Any]]:
    """The arms as plain JSON, each with a name that no other has."""
    several = len({arm.model for arm in arms}) > 1
    apart = told_apart(arms)
    names = []
    for arm in arms:
        value = "" if arm.value is None else f" {'σ' if arm.method == 'perturbation' else 'T'} {arm.value:g}"
        settings = f" ({apart[arm.arm_id]})" if arm.arm_id in apart else ""
        names.append((f"{arm.model}: " if several else "") + arm.method + value + settings)
    return [
        {
            "id": arm.arm_id,
            "name": name if names.count(name) == 1 else f"{name} (arm {arm.arm_id})",
            "model": arm.model,
            "problems": arm.problems,
            "draws": arm.draws,
            "solved": arm.problems_solved,
            "solvable": arm.solvable,
            "at": [[k, at.pass_at_k, at.chance] for k, at in sorted(arm.at.items())],
        }
        for arm, name in zip(arms, names, strict=True)
    ]
