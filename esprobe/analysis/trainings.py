"""The trainings that the page to explore results shows: what their members scored, and what they are worth at a budget.

Reads the view `training`, and the budgets of `report --budget`. Knows no layout.
"""

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from esprobe.analysis.arms import Filter
from esprobe.analysis.reading import query
from esprobe.errors import UserError

if TYPE_CHECKING:  # numpy is slow to load
    from esprobe.analysis.budget import Budget

MARGIN = 0.02  # a difference that needs no training, as in `report --budget`


class Iteration(NamedTuple):
    """One iteration of a training: the model that it made, what was spent up to it, and its members' mean accuracy."""

    name: str
    iteration: int
    rollouts_spent: int
    mean_accuracy: float


@dataclass(frozen=True)
class Trainings:
    """All iterations by training, and a budget for each family; `lacking`: why there are no budgets, empty where there are."""

    iterations: tuple[Iteration, ...]
    budgets: "tuple[Budget, ...]"
    lacking: str


def read_trainings(connection: sqlite3.Connection, chosen: Filter) -> Trainings:
    """Those that the filter's model and its base have; nothing where the database has none, or they do not pass the filter."""
    if not query(connection, "SELECT 1 FROM model WHERE parent_id IS NOT NULL LIMIT 1")[1]:
        return Trainings((), (), "")
    sql = "SELECT name, iteration, rollouts_spent, mean_accuracy FROM training WHERE scorer = ? ORDER BY name, iteration"
    found = [Iteration(*row) for row in query(connection, sql, [chosen.scorer])[1]]
    from esprobe.analysis.budget import budgets

    try:
        compared = tuple(budgets(connection, chosen, MARGIN, None))
    except UserError as error:
        hidden = chosen.model or chosen.arms or not found
        return Trainings((), (), "") if hidden else Trainings(tuple(found), (), str(error))
    names = {line.name for one in compared for line in one.training.lines}
    return Trainings(tuple(one for one in found if one.name in names), compared, "")
