"""Every arm of a database with its id and what it has, scored or not. Knows tables, no layout."""

import json
import sqlite3

from esprobe.analysis.arms import ListedArm
from esprobe.analysis.reading import query

_ARMS = """
SELECT arm.id, task, model.name, model.digest, method, value,
       coalesce(problems, 0), (SELECT count(*) FROM draw WHERE arm_id = arm.id), coalesce(rollouts, 0),
       (SELECT name FROM model WHERE arm_id = arm.id), settings
FROM arm JOIN model ON model.id = model_id LEFT JOIN (
  SELECT arm_id AS of_arm, count(DISTINCT problem_id) AS problems, count(*) AS rollouts FROM rollout GROUP BY arm_id)
  ON of_arm = arm.id
ORDER BY arm.id
"""


def listed_arms(connection: sqlite3.Connection) -> list[ListedArm]:
    """All arms, in the order in which they began."""
    rows = query(connection, _ARMS)[1]
    return [ListedArm._make((*row, json.loads(text))) for *row, text in rows]
