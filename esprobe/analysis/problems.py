"""The problems of a database with what is proven of them under a scorer's rule. Reads the table `problem`; knows no payload."""

import json
import sqlite3
from collections.abc import Collection
from typing import Any, NamedTuple

from esprobe.analysis.reading import query


class ProblemRow(NamedTuple):
    """One problem. What is proven only under another scorer's rule is None, as is what is not known."""

    problem_id: int
    task: str
    payload: Any
    solvable: bool | None
    solution: str | None
    chance: float | None
    outcomes: int | None
    stratum: str | None
    digest: str


def read_problems(connection: sqlite3.Connection, scorer: str, only: Collection[int]) -> list[ProblemRow]:
    """The problems of these ids, in order of ids."""
    proven = ", ".join(f"CASE WHEN task = ?1 THEN {fact} END" for fact in ("solvable", "solution", "chance", "outcomes"))
    _, rows = query(connection, f"SELECT id, task, payload, stratum, digest, {proven} FROM problem ORDER BY id", [scorer])
    return [
        ProblemRow(
            problem_id=problem_id,
            task=task,
            payload=json.loads(payload),
            solvable=None if solvable is None else bool(solvable),
            solution=solution,
            chance=chance,
            outcomes=outcomes,
            stratum=stratum,
            digest=digest,
        )
        for problem_id, task, payload, stratum, digest, solvable, solution, chance, outcomes in rows
        if problem_id in only
    ]
