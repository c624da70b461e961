r"""The rule of number answers: does a response's last wrapper (`\boxed{}`, `<answer>`, `####`) hold the right number.

Knows texts and one gold number. Every pass over a text takes time linear in its length; numbers are short and exact.
"""

import re
from collections import deque
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from esprobe.tasks.base import Score
from esprobe.tasks.wrapped import last_wrapped

MAX_ANSWER = 1000  # characters of an answer, and digits of a number

# What LaTeX writes for the signs that are dropped anyway: \$ \% and {,}, its spaces, and words set as text.
_WORDS = re.compile(r"\\(?:text|mathrm)\s*\{([^{}\\]*)\}")
_SPACES = re.compile(r"\\[,;:! ]|~")
_UNIT = re.compile(r"(?<=[\d.])\s*[^\W\d_]+$")
_AROUND_COMMA = re.compile(r"\s,|,\s")
_NUMBER = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:/\d+)?", re.ASCII)
_RUN = re.compile(r"\d[\d,]*(?:\.\d+)?(?:/\d+)?|\.\d+", re.ASCII)  # nothing in it can fail once a digit is met

_MINUS = re.compile(r"(?<![\w).])-\$?$")  # a sign: not between two numbers, nor after a word


def gsm8k(payload: Mapping[str, Any], text: str) -> Score:
    """The strict rule: the content of the last wrapper to begin is a number equal to the gold answer."""
    found = last_wrapped(text)
    return _score(payload, None if found is None else found.content)


def gsm8k_lenient(payload: Mapping[str, Any], text: str) -> Score:
    """The same, and the last number of a text without any wrapper counts."""
    found = last_wrapped(text)
    return _score(payload, last_number(text) if found is None else found.content)


def _score(payload: Mapping[str, Any], content: str | None) -> Score:
    answer = (content or "").strip()
    if not answer:
        return Score(False, "no_answer", None, None, 0.0)
    value = rational(answer)
    if value is None:
        return Score(False, "not_a_number", answer[:MAX_ANSWER], None, 0.0)
    correct = value == Fraction(payload["answer"])
    return Score(correct, "correct" if correct else "wrong_value", answer[:MAX_ANSWER], str(value), float(correct))


def rational(content: str) -> Fraction | None:
    """The number that an answer holds: a decimal or a fraction of whole numbers, in digits; None for anything else.

    Without white space, `$`, `%`, thousands commas, a trailing full stop and a trailing unit word, in LaTeX or not.
    """
    if len(content) > MAX_ANSWER:
        return None
    plain = _WORDS.sub(r" \1", content.replace(r"\$", "").replace(r"\%", "").replace("{,}", ","))
    plain = _SPACES.sub("", plain).replace("$", "").replace("%", "").strip().removesuffix(".")
    plain = _UNIT.sub("", plain.rstrip()).strip().removesuffix(".")
    if _AROUND_COMMA.search(plain):  # several numbers, or the end of a clause
        return None
    plain = "".join(plain.split())
    if not _NUMBER.fullmatch(plain):
        return None
    try:
        return Fraction(plain.replace(",", ""))
    except ZeroDivisionError:
        return None


def last_number(text: str) -> str | None:
    """The last number in a text, with its sign; of digits and commas that are no thousands, what follows the last comma."""
    last = deque(_RUN.finditer(text), maxlen=1)
    if not last:
        return None
    start, number = last[0].start(), last[0][0].rstrip(",")
    if not _NUMBER.fullmatch(number):
        return number.rpartition(",")[2]
    return "-" + number if _MINUS.search(text[max(0, start - 3) : start]) else number
