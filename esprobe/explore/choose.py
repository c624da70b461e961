"""Chooses the few rollouts of each arm × problem that the page holds, and shortens long texts.

Goes once over the verdicts in the order of their key, without the texts, and then reads the texts of the chosen alone.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

PER_CELL = 4
ANSWER_BYTES = 240

Verdict = tuple[int, int, int, int, str, str | None]  # arm id, problem id, draw, correct, reason, answer
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
    seed: int | None
    tokens: int | None
    finish: str
    text: str


def choose(connection: sqlite3.Connection, scorer: str, per_cell: int) -> Callable[[int], Iterator[Chosen]]:
    """A function from a number (at most `per_cell`) to that many rollouts of every cell, correct ones first, in draw order."""

    def chosen(most: int) -> Iterator[Chosen]:
        verdicts: Iterable[Verdict] = connection.execute(
            "SELECT arm_id, problem_id, draw, correct, reason, answer FROM score WHERE scorer = ? "
            "ORDER BY arm_id, problem_id, draw",
            [scorer],
        )
        if most < 1:
            return
        for _, cell in groupby(verdicts, key=itemgetter(0, 1)):
            for verdict in pick(cell, min(most, per_cell)):
                seed, tokens, finish, text = connection.execute(
                    "SELECT seed, tokens, finish, text FROM rollout_text "
                    "WHERE arm_id = ? AND problem_id = ? AND draw = ? AND scorer = ?",
                    [*verdict[:3], scorer],
                ).fetchone()
                yield Chosen(*verdict, seed, tokens, finish, text)

    return chosen


def pick(cell: Iterable[Verdict], most: int) -> list[Verdict]:
    """At most `most` of a cell: half correct, half wrong, or more of one where the other has too few; different answers first."""
    new: tuple[dict[tuple[str, str | None], Verdict], ...] = ({}, {})
    again: tuple[list[Verdict], ...] = ([], [])
    for verdict in cell:
        correct, key = verdict[3], verdict[4:]
        if key not in new[correct]:
            if len(new[correct]) < most:
                new[correct][key] = verdict
        elif len(again[correct]) < most:
            again[correct].append(verdict)
    wrong, right = ([*new[i].values(), *again[i]][:most] for i in (0, 1))
    rights = min(len(right), max((most + 1) // 2, most - len(wrong)))
    return sorted(right[:rights], key=itemgetter(2)) + sorted(wrong[: most - rights], key=itemgetter(2))


def encoded(value: object) -> str:
    """The value as JSON that can stand inside an HTML script element: nothing in it can end the element or the line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


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
