"""The runs of a database as rows: when each began, how it ended, how many rollouts it wrote. Knows tables, no layout."""

import sqlite3
from typing import Any

from esprobe.analysis.reading import query

_SECONDS = (
    "replace(substr(started, 1, 19), 'T', ' ') AS \"started (UTC)\", replace(substr(ended, 1, 19), 'T', ' ') AS \"ended (UTC)\""
)


def runs(connection: sqlite3.Connection, exact: bool) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(column names, rows), the oldest first. `exact`: times as stored, in ISO 8601; otherwise to the second, for people."""
    times = "started, ended" if exact else _SECONDS
    sql = (
        f"SELECT run.id, {times}, state, message, count(rollout.id) AS rollouts, command FROM run "
        "LEFT JOIN rollout ON rollout.run_id = run.id GROUP BY run.id ORDER BY run.id"
    )
    return query(connection, sql)
