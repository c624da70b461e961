"""Reads every verdict and ballot of an arm as matrices of draws × problems, with numpy.

Knows the tables `score`, `draw` and `problem`, and computes nothing beyond putting cells into their places.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esprobe.analysis.reading import query
from esprobe.stats.resampling import Ints

Seeded = tuple[int | None, float | None]  # a draw's seed and σ, which together are one perturbed model


@dataclass(frozen=True)
class Answers:
    """An arm's scored rollouts: `draws` (D,) and `problems` (P,) by number and id, ascending, and a cell for each pair.

    `there`, `correct`: (D, P). `ballots`: (D, P), equal numbers being equal ballots, in all arms that were read together; −1 is
    none.
    """

    draws: Ints
    problems: Ints
    there: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    ballots: Ints

    def on(self, problems: Ints) -> "Answers":
        """On these problems alone, without the draws that lack one of them; none are left where the arm has not met one."""
        columns = np.minimum(np.searchsorted(self.problems, problems), len(self.problems) - 1)
        rows = self.there[:, columns].all(1) & np.array_equal(self.problems[columns], problems)
        cells = np.ix_(rows, columns)
        return Answers(self.draws[rows], problems, self.there[cells], self.correct[cells], self.ballots[cells])


def read_answers(connection: sqlite3.Connection, scorer: str, arm_ids: Sequence[int]) -> dict[int, Answers]:
    """The answers of each arm that has any."""
    numbers: dict[str | None, int] = {None: -1}
    found = {}
    for arm_id in arm_ids:
        _, rows = query(
            connection,
            "SELECT draw, problem_id, correct, ballot FROM score WHERE scorer = ? AND arm_id = ? ORDER BY draw, problem_id",
            [scorer, arm_id],
        )
        if rows:
            draws, problems, correct, ballots = zip(*rows, strict=True)
            voted = [numbers.setdefault(ballot, len(numbers)) for ballot in ballots]
            found[arm_id] = _placed(*(np.array(column, dtype=np.int64) for column in (draws, problems, correct, voted)))
    return found


def _placed(draws: Ints, problems: Ints, correct: Ints, ballots: Ints) -> Answers:
    of_draw, row = np.unique(draws, return_inverse=True)
    of_problem, column = np.unique(problems, return_inverse=True)
    shape = len(of_draw), len(of_problem)
    there, right, voted = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool), np.full(shape, -1, dtype=np.int64)
    there[row, column], right[row, column], voted[row, column] = True, correct > 0, ballots
    return Answers(of_draw, of_problem, there, right, voted)


def read_seeds(connection: sqlite3.Connection, arm_id: int) -> dict[int, Seeded]:
    """Draw → its seed and σ."""
    _, rows = query(connection, "SELECT number, seed, sigma FROM draw WHERE arm_id = ?", [arm_id])
    return {number: (seed, sigma) for number, seed, sigma in rows}


def read_digests(connection: sqlite3.Connection) -> dict[str, int]:
    """Problem digest → id."""
    return dict(query(connection, "SELECT digest, id FROM problem")[1])
