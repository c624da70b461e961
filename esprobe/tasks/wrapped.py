"""Where the final answer is in a response: between answer tags, in a LaTeX box, behind four hashes.

Knows texts of any length and makes one pass over each. Does not know what an answer means.
"""

import re
from typing import NamedTuple

OPEN, CLOSE = "<answer>", "</answer>"
HASHES = "####"

_BOX = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)  # \{ and \} are letters of the text and pair with nothing


class Wrapped(NamedTuple):
    """What a wrapper holds, and where in the text the wrapper begins."""

    start: int
    content: str


def last_answer(text: str) -> Wrapped | None:
    """The last `<answer>…</answer>`."""
    close_at = text.rfind(CLOSE)
    open_at = text.rfind(OPEN, 0, close_at) if close_at >= 0 else -1
    if open_at < 0:
        return None
    start = open_at + len(OPEN)
    return Wrapped(open_at, text[start : text.find(CLOSE, start)])


def last_boxed(text: str) -> Wrapped | None:
    r"""The `\boxed{…}` that begins last, of those whose braces are closed."""
    first = text.find("\\boxed")
    if first < 0:
        return None
    found = None
    opened: list[tuple[int, int] | None] = []  # (where a box begins, where its content does); None for any other brace
    for token in _BOX.finditer(text, first):
        if token[0].endswith("{") and token[0] != "\\{":
            opened.append((token.start(), token.end()) if len(token[0]) > 1 else None)
        elif token[0] == "}" and opened:
            box = opened.pop()
            if box is not None and (found is None or box[0] > found[0]):
                found = (*box, token.start())
    return None if found is None else Wrapped(found[0], text[found[1] : found[2]])


def last_hashes(text: str) -> Wrapped | None:
    """What follows the last `####`, to the end of its line or of the answer tag around it."""
    at = text.rfind(HASHES)
    if at < 0:
        return None
    return Wrapped(at, text[at + len(HASHES) :].split("\n", 1)[0].split(CLOSE, 1)[0])


def last_wrapped(text: str) -> Wrapped | None:
    """The last of all three to begin."""
    found = [one for one in (last_answer(text), last_boxed(text), last_hashes(text)) if one is not None]
    return max(found, default=None)
