"""The runs of a database as rows: when each began, how long it took, how it ended, how much it wrote. Knows tables, no layout."""

import json
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from esprobe.analysis.reading import query
from esprobe.analysis.rows import RunRow

# Seconds: until now for a run that goes on; for one that was killed, whose end was not noted, until it last wrote.
_RUNS = """
SELECT id, started, ended, state, message, rollouts, command, seconds, rollouts / nullif(seconds, 0) AS per_second
FROM run JOIN (
  SELECT id AS run_id,
    round((julianday(CASE state WHEN 'running' THEN 'now' ELSE coalesce(ended, last_write) END) - julianday(started)) * 86400, 3)
    AS seconds
  FROM run) ON run_id = id
JOIN (SELECT run.id AS of_id, count(rollout.id) AS rollouts FROM run LEFT JOIN rollout ON rollout.run_id = run.id GROUP BY run.id)
  ON of_id = id
ORDER BY id
"""


class Origin(NamedTuple):
    """How a database came to be. `began`, `ended`: UTC, ISO 8601, of the first run and of the last that ended; empty without one.

    `versions`: package → all versions of it that any run had, in order of runs.
    """

    runs: int
    began: str
    ended: str
    versions: Mapping[str, tuple[str, ...]]


def read_origin(connection: sqlite3.Connection) -> Origin:
    """Of all runs together."""
    _, rows = query(connection, "SELECT started, ended, versions FROM run ORDER BY id")
    versions: dict[str, dict[str, None]] = {}
    for *_, text in rows:
        for package, version in json.loads(text).items():
            versions.setdefault(package, {})[str(version)] = None
    return Origin(
        runs=len(rows),
        began=min((began for began, *_ in rows), default=""),
        ended=max((ended for _, ended, _ in rows if ended), default=""),
        versions={package: tuple(found) for package, found in versions.items()},
    )


def runs(connection: sqlite3.Connection) -> list[RunRow]:
    """Every run, the oldest first."""
    return [RunRow(*row) for row in query(connection, _RUNS)[1]]
