"""What changes from one arm to another: problems won and lost, and distinct ballots, at each k.

Reads ballots; the formulas are in `stats.changes`. Knows no layout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from statistics import fmean

from esprobe.analysis.verdicts import count_ballots
from esprobe.stats.changes import distinct_at, won_at, won_by_luck
from esprobe.stats.intervals import Cell


@dataclass(frozen=True)
class Change:
    """With k draws of each arm: how many problems only the first solves, `won`, or only the second, `lost`.

    `…_ballots`: distinct ballots per problem; None where no draw of the arm has one.
    """

    k: int
    won: float
    lost: float
    first_ballots: float | None
    second_ballots: float | None


@dataclass(frozen=True)
class Changes:
    """From the second arm to the first. `…_luck`: how many problems two draws of the same arm win (and lose), None if unknown."""

    at: list[Change]
    first_luck: float | None
    second_luck: float | None


def read_changes(
    connection: Connection, scorer: str, arm_ids: Sequence[int], cells: Sequence[Mapping[int, Cell]], ks: Sequence[int]
) -> Changes:
    """`arm_ids`, `cells`: of the first and the second arm, on the same problems in the same order."""
    first, second = (list(each.values()) for each in cells)
    ballots = [count_ballots(connection, scorer, arm_id) for arm_id in arm_ids]

    def distinct(side: int, k: int) -> float | None:
        if not ballots[side]:
            return None
        return fmean(distinct_at(cell.n, ballots[side].get(problem, ()), k) for problem, cell in cells[side].items())

    return Changes(
        at=[
            Change(
                k=k,
                won=won_at(first, second, k),
                lost=won_at(second, first, k),
                first_ballots=distinct(0, k),
                second_ballots=distinct(1, k),
            )
            for k in ks
        ],
        first_luck=won_by_luck(first),
        second_luck=won_by_luck(second),
    )
