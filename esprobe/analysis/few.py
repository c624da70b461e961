"""A few rollouts of each arm × problem, chosen so that they differ, with their texts.

Reads the verdicts once, without the texts, in their order on disk, and then the texts of the chosen rollouts only.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

from esprobe.analysis.reading import failure

Verdict = tuple[int, int, int, str, str | None]  # problem id, draw, correct, reason, answer


@dataclass(frozen=True)
class ChosenRollout:
    """One rollout to be shown."""

    arm_id: int
    problem_id: int
    draw: int
    correct: int
    reason: str
    answer: str | None
    seed: str | None
    tokens: int | None
    finish: str
    text: str
    ballot: str | None


def few_rollouts(connection: sqlite3.Connection, scorer: str, arms: Sequence[int], most: int) -> Iterator[ChosenRollout]:
    """At most so many of each of these arms × problem: correct ones first, in draw order. UserError where reading fails."""
    if most < 1:
        return
    try:
        for arm_id in arms:
            yield from _of_arm(connection, scorer, arm_id, most)
    except sqlite3.Error as error:
        raise failure(error) from None


def _of_arm(connection: sqlite3.Connection, scorer: str, arm_id: int, most: int) -> Iterator[ChosenRollout]:
    cells: dict[int, Few] = defaultdict(partial(Few, most))
    verdicts: Iterable[Verdict] = connection.execute(
        "SELECT problem_id, draw, correct, reason, answer FROM score WHERE scorer = ? AND arm_id = ? ORDER BY draw, problem_id",
        [scorer, arm_id],
    )
    for verdict in verdicts:
        cells[verdict[0]].add(verdict)
    for cell in cells.values():
        for problem_id, draw, correct, reason, answer in cell.chosen():
            seed, tokens, finish, text, ballot = connection.execute(
                "SELECT seed, tokens, finish, text, ballot FROM rollout_text "
                "WHERE arm_id = ? AND problem_id = ? AND draw = ? AND scorer = ?",
                [arm_id, problem_id, draw, scorer],
            ).fetchone()
            yield ChosenRollout(
                arm_id=arm_id,
                problem_id=problem_id,
                draw=draw,
                correct=correct,
                reason=reason,
                answer=answer,
                seed=seed,
                tokens=tokens,
                finish=finish,
                text=text,
                ballot=ballot,
            )


class Few:
    """At most `most` of a cell: half correct, half wrong, or more of one where the other has too few; different answers first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._new: tuple[dict[tuple[str, str | None], Verdict], ...] = ({}, {})
        self._again: tuple[list[Verdict], ...] = ([], [])

    def add(self, verdict: Verdict) -> None:
        """Takes one more rollout of the cell into account; they come in draw order."""
        correct, key = verdict[2], verdict[3:]
        new, again = self._new[correct], self._again[correct]
        if key not in new:
            if len(new) < self._most:
                new[key] = verdict
        elif len(again) < self._most:
            again.append(verdict)

    def chosen(self) -> list[Verdict]:
        """The correct ones in draw order, then the wrong ones."""
        wrong, right = ([*self._new[i].values(), *self._again[i]][: self._most] for i in (0, 1))
        rights = min(len(right), max((self._most + 1) // 2, self._most - len(wrong)))
        return sorted(right[:rights], key=itemgetter(1)) + sorted(wrong[: self._most - rights], key=itemgetter(1))
