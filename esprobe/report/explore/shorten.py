"""Values as JSON for a script element, and texts cut to the bytes that they may take there. Knows nothing of what they mean."""

import json
import math
from typing import Any

from esprobe.stats.intervals import Interval

ANSWER_BYTES = 240
_MOST_EXACT = 2**53  # whole numbers beyond are rounded by a browser

Cut = str | tuple[str, int, str]  # a whole text, or its start, how many characters are left out, and its end


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


def ends(interval: Interval | None) -> list[Any]:
    """Low end, high end, and why the interval is not trustworthy; nothing where there is no interval."""
    return [] if interval is None else [interval.low, interval.high, interval.doubt]


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
