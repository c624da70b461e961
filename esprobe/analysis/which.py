"""Which scorer's verdicts a report shows where the user names none: one task at a time, never a mixture.

Knows the table of arms, and that a task's default scorer bears the task's name.
"""

import sqlite3

from esprobe.analysis.reading import query
from esprobe.errors import UserError
from esprobe.tasks.registry import DEFAULT


def scorer_of(connection: sqlite3.Connection, task: str | None, scorer: str | None) -> str:
    """The scorer that is named, or the default one of the task that is named, or else of the first task of the database.

    Raises UserError for a task that no arm of the database has.
    """
    stored = _stored(connection)
    if task is not None and stored and task not in stored:
        raise UserError(f"there are no rollouts of the task {task!r} here; --task shows {', '.join(stored)}")
    return scorer or task or tasks(connection)[0]


def tasks(connection: sqlite3.Connection) -> list[str]:
    """The tasks of the database's arms, the default one first, which is also there without arms."""
    return _stored(connection) or [DEFAULT]


def _stored(connection: sqlite3.Connection) -> list[str]:
    _, rows = query(connection, "SELECT DISTINCT task FROM arm ORDER BY task <> ?, task", [DEFAULT])
    return [task for (task,) in rows]
