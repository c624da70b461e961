"""Chooses the few rollouts of each arm × problem that the page holds, and shortens long texts.

Goes once over the verdicts, without the texts, in the order in which they lie on disk, and reads the texts of the chosen alone.
"""

import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

PER_CELL = 4
ANSWER_BYTES = 240
_MOST_EXACT = 2**53  # whole numbers beyond are rounded by a browser

Verdict = tuple[int, int, int, str, str | None]  # problem id, draw, correct, reason, answer
Cut = str | tuple[str, int, str]  # a whole text, or its start, how many characters are left out, and its end


@dataclass(frozen=True)
class Chosen:
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


def choose(connection: sqlite3.Connection, scorer: str, per_cell: int) -> Callable[[int], Iterator[Chosen]]:
    """A function from a number (at most `per_cell`) to that many rollouts of every cell, correct ones first, in draw order."""

    def chosen(most: int) -> Iterator[Chosen]:
        if most < 1:
            return
        for (arm_id,) in connection.execute("SELECT id FROM arm ORDER BY id").fetchall():
            cells: dict[int, Few] = defaultdict(partial(Few, min(most, per_cell)))
            verdicts: Iterable[Verdict] = connection.execute(
                "SELECT problem_id, draw, correct, reason, answer FROM score WHERE scorer = ? AND arm_id = ? "
                "ORDER BY draw, problem_id",
                [scorer, arm_id],
            )
            for verdict in verdicts:
                cells[verdict[0]].add(verdict)
            for cell in cells.values():
                for verdict in cell.chosen():
                    seed, tokens, finish, text = connection.execute(
                        "SELECT seed, tokens, finish, text FROM rollout_text "
                        "WHERE arm_id = ? AND problem_id = ? AND draw = ? AND scorer = ?",
                        [arm_id, *verdict[:2], scorer],
                    ).fetchone()
                    yield Chosen(arm_id, *verdict, seed, tokens, finish, text)

    return chosen


class Few:
    """At most `most` of a cell: half correct, half wrong, or more of one where the other has too few; different answers first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._new: tuple[dict[tuple[str, str | None], Verdict], ...] = ({}, {})
        self._again: tuple[list[Verdict], ...] = ([], [])

    def add(self, verdict: Verdict) -> None:
        """Looks at one more rollout of the cell; they come in draw order."""
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


def encoded(value: object) -> str:
    """The value as JSON that may be put inside an HTML script element: nothing in it can end the element or the line.

    A number that JSON does not have (infinite, or none) is null; a whole number that a browser would round is text.
    """
    text = json.dumps(_exact(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _exact(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if abs(value) <= _MOST_EXACT else str(value)
    if isinstance(value, dict):
        return {key: _exact(one) for key, one in value.items()}
    return [_exact(one) for one in value] if isinstance(value, (list, tuple)) else value


def shorten(text: str, limit: int) -> Cut:
    """The text if its encoded form has at most `limit` bytes, otherwise its start and its end, the end longer."""
    if len(text) <= limit and _size(text) <= limit:
        return text
    head = _fit(text, limit // 3, end=False)
    tail = _fit(text[len(head) :], limit - limit // 3, end=True)
    return head, len(text) - len(head) - len(tail), tail


def shorten_answer(answer: str | None) -> str | None:
    """An answer cut to a line's length, with … where something is missing."""
    if answer is None or (len(answer) <= ANSWER_BYTES and _size(answer) <= ANSWER_BYTES):
        return answer
    return _fit(answer, ANSWER_BYTES, end=False) + "…"


def _size(text: str) -> int:
    return len(encoded(text).encode(errors="replace"))


def _fit(text: str, limit: int, end: bool) -> str:
    """The longest start or end, nearly, whose encoded form has at most `limit` bytes."""
    length = limit
    while length > 0:
        part = text[-length:] if end else text[:length]
        size = _size(part)
        if size <= limit:
            return part
        length = min(len(part) * limit // size, len(part) - 1)
    return ""
