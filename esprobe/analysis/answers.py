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

    `there`, `correct`: (D, P). `ballots`, `expressions`: (D, P), by value and by the expression that has it; equal numbers are
    equal ballots, −1 is none.
    """

    draws: Ints
    problems: Ints
    there: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    ballots: Ints
    expressions: Ints

    def on(self, problems: Ints) -> "Answers":
        """On these problems alone, without the draws that lack one of them; none are left where the arm has not met one."""
        columns = np.minimum(np.searchsorted(self.problems, problems), len(self.problems) - 1)
        rows = self.there[:, columns].all(1) & np.array_equal(self.problems[columns], problems)
        cells = np.ix_(rows, columns)
        parts = (part[cells] for part in (self.there, self.correct, self.ballots, self.expressions))
        return Answers(self.draws[rows], problems, *parts)

    def only(self, draws: Ints) -> "Answers":
        """Of these draws alone."""
        cells = np.ix_(np.isin(self.draws, draws), np.arange(len(self.problems)))
        parts = (part[cells] for part in (self.there, self.correct, self.ballots, self.expressions))
        return Answers(self.draws[cells[0][:, 0]], self.problems, *parts)

    @property
    def lacks_expressions(self) -> bool:
        """Whether a ballot has no expression, so that nothing can be said of votes by expressions."""
        return bool(((self.ballots >= 0) & (self.expressions < 0)).any())


class Numbers:
    """Gives each ballot a number, the same in all arms that are read with it: models of several arms can vote together."""

    def __init__(self) -> None:
        """Knows no ballot yet."""
        self._known: dict[str | None, int] = {None: -1}

    def of(self, ballots: Sequence[str | None]) -> Ints:
        """One number for each; −1 where there is none."""
        return np.array([self._known.setdefault(ballot, len(self._known)) for ballot in ballots], dtype=np.int64)


def read_answers(connection: sqlite3.Connection, scorer: str, arm_id: int, numbers: Numbers) -> Answers:
    """The answers of an arm, which has at least one."""
    _, rows = query(
        connection,
        "SELECT draw, problem_id, correct, ballot, expression FROM score WHERE scorer = ? AND arm_id = ? "
        "ORDER BY draw, problem_id",
        [scorer, arm_id],
    )
    draws, problems, correct, ballots, expressions = zip(*rows, strict=True)
    of_draw, row = np.unique(np.array(draws, dtype=np.int64), return_inverse=True)
    of_problem, column = np.unique(np.array(problems, dtype=np.int64), return_inverse=True)
    shape = len(of_draw), len(of_problem)
    there, right = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    by_value, by_expression = np.full(shape, -1, dtype=np.int64), np.full(shape, -1, dtype=np.int64)
    there[row, column], right[row, column] = True, np.array(correct, dtype=bool)
    by_value[row, column], by_expression[row, column] = numbers.of(ballots), numbers.of(expressions)
    return Answers(of_draw, of_problem, there, right, by_value, by_expression)


def read_seeds(connection: sqlite3.Connection, arm_id: int) -> dict[int, Seeded]:
    """Draw → its seed and σ."""
    _, rows = query(connection, "SELECT number, seed, sigma FROM draw WHERE arm_id = ?", [arm_id])
    return {number: (seed, sigma) for number, seed, sigma in rows}


def read_digests(connection: sqlite3.Connection) -> dict[str, int]:
    """Problem digest → id."""
    return dict(query(connection, "SELECT digest, id FROM problem")[1])
