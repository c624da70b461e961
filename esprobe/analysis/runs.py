"""The runs of a database as rows: when each began, how long it took, how it ended, how much it wrote. Knows tables, no layout."""

import sqlite3

from esprobe.analysis.reading import query
from esprobe.analysis.rows import RunRow

# Seconds: until now for a run that goes on; unknown for one that was killed, whose end was not noted.
_RUNS = """
SELECT id, started, ended, state, message, rollouts, command, seconds, rollouts / nullif(seconds, 0) AS per_second
FROM run JOIN (
  SELECT id AS run_id,
    round((julianday(CASE state WHEN 'running' THEN 'now' ELSE ended END) - julianday(started)) * 86400, 3) AS seconds
  FROM run) ON run_id = id
JOIN (SELECT run.id AS of_id, count(rollout.id) AS rollouts FROM run LEFT JOIN rollout ON rollout.run_id = run.id GROUP BY run.id)
  ON of_id = id
ORDER BY id
"""


def runs(connection: sqlite3.Connection) -> list[RunRow]:
    """Every run, the oldest first."""
    return [RunRow(*row) for row in query(connection, _RUNS)[1]]
