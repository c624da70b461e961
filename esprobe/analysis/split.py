"""Reads how often every perturbed model of an arm solves every problem, for the split of variance between and within models.

Knows the tables `score` and `draw`; the estimate is in `stats.components`.
"""

import sqlite3
from typing import TYPE_CHECKING

from esprobe.analysis.arms import ArmRow
from esprobe.analysis.reading import query

if TYPE_CHECKING:  # numpy is slow to load
    from esprobe.stats.components import Components

_BY_MODEL = """
SELECT score.problem_id, draw.seed, count(*), sum(score.correct)
FROM score JOIN draw ON draw.arm_id = score.arm_id AND draw.number = score.draw
WHERE score.scorer = ? AND score.arm_id = ?
GROUP BY score.problem_id, draw.seed
"""


def read_components(connection: sqlite3.Connection, scorer: str, arm: ArmRow) -> "Components | None":
    """The split over the models that have all samples of all problems; None where an arm has one sample per model, or few models.

    A model is known by its seed, which its draws share.
    """
    if arm.samples < 2:
        return None
    import numpy as np

    from esprobe.stats.components import components

    table: dict[int, dict[int, int]] = {}  # seed → problem → correct samples
    for problem_id, seed, samples, correct in query(connection, _BY_MODEL, [scorer, arm.arm_id])[1]:
        if samples == arm.samples:
            table.setdefault(seed, {})[problem_id] = correct
    whole = [solved for solved in table.values() if len(solved) == arm.problems]
    if not whole:
        return None
    problems = sorted(whole[0])
    return components(np.array([[solved[i] for solved in whole] for i in problems], dtype=np.float64), arm.samples)
