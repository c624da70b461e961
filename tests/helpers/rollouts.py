"""Every rollout of a database, for comparing databases with each other."""

import sqlite3
from contextlib import closing
from pathlib import Path

Rollouts = dict[tuple[str, str, int], tuple[str, int, str]]


def rollouts(db: Path) -> Rollouts:
    """(arm digest, problem digest, draw) → (text, tokens, finish)."""
    with closing(sqlite3.connect(db)) as connection:
        rows = connection.execute(
            "select arm.digest, problem.digest, rollout.draw, rollout.text, rollout.tokens, rollout.finish "
            "from rollout join arm on arm.id = arm_id join problem on problem.id = problem_id"
        ).fetchall()
    found = {tuple(row[:3]): tuple(row[3:]) for row in rows}
    assert len(found) == len(rows)
    return found
