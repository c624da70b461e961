"""Which scorer's verdicts a report shows where the user names none: one task at a time, never a mixture.

Knows the table of arms, and that a task's default scorer bears the task's name.
"""

import sqlite3

from esprobe.analysis.reading import query
from esprobe.tasks.registry import DEFAULT


def scorer_of(connection: sqlite3.Connection, task: str | None, scorer: str | None) -> str:
    """The scorer that is named, or the default one of the task that is named, or else of the first task of the database."""
    return scorer or task or tasks(connection)[0]


def tasks(connection: sqlite3.Connection) -> list[str]:
    """The tasks of the database's arms, the default one first, which stands for none."""
    _, rows = query(connection, "SELECT DISTINCT task FROM arm ORDER BY task <> ?, task", [DEFAULT])
    return [task for (task,) in rows] or [DEFAULT]
