"""Reads the verdicts of arms from the database, for intervals, comparisons, plots and the page.

Knows the view `draw_accuracy` and the tables `score` and `draw`, and computes nothing. How often a problem was solved at all is
in `baselines`.
"""

import sqlite3
from itertools import groupby
from operator import itemgetter

from esprobe.analysis.reading import query
from esprobe.stats.intervals import ByDraw


def draw_places(connection: sqlite3.Connection, arm_id: int) -> dict[int, int]:
    """Draw number → its place among the arm's draws, from 0: the draws of imported rollouts may be numbered from anywhere."""
    _, rows = query(connection, "SELECT number FROM draw WHERE arm_id = ? ORDER BY number", [arm_id])
    return {number: place for place, (number,) in enumerate(rows)}


def read_by_draw(connection: sqlite3.Connection, scorer: str, arm_id: int) -> ByDraw:
    """Place of the draw → (n, c, how many) of the problems that it solves; counted in SQL, since there may be many verdicts."""
    _, rows = query(
        connection,
        "WITH cell AS (SELECT problem_id, n, c FROM solved WHERE scorer = ?1 AND arm_id = ?2) "
        "SELECT draw, n, c, count(*) FROM cell CROSS JOIN score USING (problem_id) "
        "WHERE scorer = ?1 AND arm_id = ?2 AND correct = 1 GROUP BY draw, n, c",
        [scorer, arm_id],
    )
    places = draw_places(connection, arm_id)
    found: dict[int, list[tuple[int, int, int]]] = {}
    for draw, n, c, count in rows:
        found.setdefault(places[draw], []).append((n, c, count))
    return found


def read_firsts(connection: sqlite3.Connection, scorer: str) -> dict[int, dict[int, int]]:
    """Arm → problem → the place of its first correct draw among its own scored draws, from 0; absent where none is correct.

    A place and not a number: the draws of imported rollouts may be numbered from anywhere.
    """
    _, rows = query(
        connection,
        "SELECT arm_id, problem_id, min(place) FROM (SELECT arm_id, problem_id, correct, "
        "row_number() OVER (PARTITION BY arm_id, problem_id ORDER BY draw) - 1 AS place "
        "FROM score WHERE scorer = ?) WHERE correct = 1 GROUP BY arm_id, problem_id",
        [scorer],
    )
    firsts: dict[int, dict[int, int]] = {}
    for arm_id, problem_id, place in rows:
        firsts.setdefault(arm_id, {})[problem_id] = place
    return firsts


def read_verdicts(connection: sqlite3.Connection, scorer: str, arm_id: int) -> dict[int, list[tuple[int, bool]]]:
    """Problem → (place of the draw among the arm's draws, correct), in order of draws.

    The place is the arm's and not the problem's own, since in a perturbation arm it says which model answered.
    """
    places = draw_places(connection, arm_id)
    _, rows = query(
        connection,
        "SELECT problem_id, draw, correct FROM score WHERE scorer = ? AND arm_id = ? ORDER BY problem_id, draw",
        [scorer, arm_id],
    )
    return {
        problem_id: [(places[draw], bool(correct)) for _, draw, correct in found]
        for problem_id, found in groupby(rows, key=itemgetter(0))
    }


def count_ballots(connection: sqlite3.Connection, scorer: str, arm_id: int) -> dict[int, list[int]]:
    """Problem → how many of its draws have each ballot; without problems of which no draw has one."""
    _, rows = query(
        connection,
        "SELECT problem_id, count(*) FROM score WHERE scorer = ? AND arm_id = ? AND ballot IS NOT NULL "
        "GROUP BY problem_id, ballot",
        [scorer, arm_id],
    )
    found: dict[int, list[int]] = {}
    for problem_id, count in rows:
        found.setdefault(problem_id, []).append(count)
    return found


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


def complete_accuracies(connection: sqlite3.Connection, scorer: str, arm_id: int, problems: int) -> tuple[float, ...]:
    """The share of problems that each draw solves, of those draws that met all `problems` of the arm; in order of draws."""
    _, rows = query(
        connection,
        "SELECT accuracy FROM draw_accuracy WHERE scorer = ? AND arm_id = ? AND problems = ? ORDER BY draw",
        [scorer, arm_id, problems],
    )
    return tuple(share for (share,) in rows)
