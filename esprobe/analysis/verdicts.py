"""Reads counts and verdicts of arms from the database, for comparisons, plots and the page.

Knows the views `solved` and `draw_accuracy` and the tables `score` and `draw`, and computes nothing.
"""

import sqlite3
from itertools import groupby
from operator import itemgetter

from esprobe.analysis.arms import ArmRow
from esprobe.analysis.reading import query
from esprobe.stats.intervals import Cell


def read_solved(connection: sqlite3.Connection, scorer: str) -> dict[int, dict[int, Cell]]:
    """Arm → problem → scored and correct draws: the view `solved`."""
    solved: dict[int, dict[int, Cell]] = {}
    for arm_id, problem_id, n, c in query(connection, "SELECT arm_id, problem_id, n, c FROM solved WHERE scorer = ?", [scorer])[
        1
    ]:
        solved.setdefault(arm_id, {})[problem_id] = Cell(n, c)
    return solved


def read_firsts(connection: sqlite3.Connection, scorer: str, arm_id: int | None = None) -> dict[int, dict[int, int]]:
    """Arm → problem → the place of its first correct draw among its own scored draws, from 0; absent where none is correct.

    A place and not a number: the draws of imported rollouts may be numbered from anywhere.
    """
    _, rows = query(
        connection,
        "SELECT arm_id, problem_id, min(place) FROM (SELECT arm_id, problem_id, correct, "
        "row_number() OVER (PARTITION BY arm_id, problem_id ORDER BY draw) - 1 AS place "
        "FROM score WHERE scorer = ?1 AND (?2 IS NULL OR arm_id = ?2)) WHERE correct = 1 GROUP BY arm_id, problem_id",
        [scorer, arm_id],
    )
    firsts: dict[int, dict[int, int]] = {}
    for arm, problem_id, place in rows:
        firsts.setdefault(arm, {})[problem_id] = place
    return firsts


def read_verdicts(connection: sqlite3.Connection, scorer: str, arm_id: int) -> dict[int, list[tuple[int, bool]]]:
    """Problem → (place of the draw among the arm's draws, correct), in order of draws.

    The place is the arm's and not the problem's own, since in a perturbation arm it says which model answered.
    """
    _, draws = query(connection, "SELECT number FROM draw WHERE arm_id = ? ORDER BY number", [arm_id])
    places = {number: place for place, (number,) in enumerate(draws)}
    _, rows = query(
        connection,
        "SELECT problem_id, draw, correct FROM score WHERE scorer = ? AND arm_id = ? ORDER BY problem_id, draw",
        [scorer, arm_id],
    )
    return {
        problem_id: [(places[draw], bool(correct)) for _, draw, correct in found]
        for problem_id, found in groupby(rows, key=itemgetter(0))
    }


def counts_within(connection: sqlite3.Connection, scorer: str, arm_id: int, k: int) -> dict[int, int]:
    """Problem → how many of its first k draws, in their order, are correct; without the problems that have fewer."""
    _, rows = query(
        connection,
        "SELECT problem_id, sum(correct) FROM (SELECT problem_id, correct, "
        "row_number() OVER (PARTITION BY problem_id ORDER BY draw) AS place FROM score WHERE scorer = ? AND arm_id = ?) "
        "WHERE place <= ? GROUP BY problem_id HAVING count(*) = ?",
        [scorer, arm_id, k, k],
    )
    return dict(rows)


def draw_accuracy(connection: sqlite3.Connection, scorer: str, arm: ArmRow) -> tuple[float, ...]:
    """The share of problems that each draw solves, of those draws that met all problems of the arm; in order of draws."""
    _, rows = query(
        connection,
        "SELECT accuracy FROM draw_accuracy WHERE scorer = ? AND arm_id = ? AND problems = ? ORDER BY draw",
        [scorer, arm.arm_id, arm.problems],
    )
    return tuple(share for (share,) in rows)
