"""The Countdown rule: is a response's answer correct, and if not, why.

Knows the answer tags, the numbers and the target of a problem. Knows nothing of models, rollouts or databases.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from math import gcd
from typing import Any

from esprobe.tasks.base import Score
from esprobe.tasks.countdown.arithmetic import NotAnExpressionError, Postfix, UnboundedError, as_python, exact, parse
from esprobe.tasks.countdown.normal_form import normal_form
from esprobe.tasks.countdown.solver import TOLERANCE, close
from esprobe.tasks.wrapped import CLOSE, OPEN, last_answer

_JOINT = "</think>\n" + OPEN
MAX_ANSWER = 1000  # characters; an honest answer to five numbers has about 40

Votes = tuple[str | None, str | None]  # ballots by value and by expression
NO_VOTE: Votes = (None, None)
MAX_BALLOT_BITS = 3000  # some 900 digits; twenty numbers of nine digits make no more than 180

_SPACE = re.compile(r"\s+")  # every character for which str.isspace() is true
_CHARACTERS = re.compile(r"[0-9+\-*/() ]+")
_DIGITS = re.compile(r"\d+")


def countdown(payload: Mapping[str, Any], text: str) -> Score:
    """The default rule, in exact arithmetic.

    The last answer is one expression of + - * / ( ), uses each given number exactly once and equals the target within 1e-5.
    White space of any kind around and between is white space. The ballot is the value; `expression` is the normal form.
    """
    found = last_answer(text)
    answer = None if found is None else found.content.strip()
    reason, votes = _exact_reason(payload, answer)
    return _score(reason, answer, votes, text)


def _exact_reason(payload: Mapping[str, Any], answer: str | None) -> tuple[str, Votes]:
    if not answer:
        return "no_answer", NO_VOTE
    if len(answer) > MAX_ANSWER:
        return "not_an_expression", NO_VOTE
    answer = _SPACE.sub(" ", answer)
    if not _CHARACTERS.fullmatch(answer):
        return "bad_characters", NO_VOTE
    if not _same_numbers(answer, payload["numbers"]):
        return "wrong_numbers", NO_VOTE
    try:
        expression = parse(answer)
        value = exact(expression)
    except NotAnExpressionError:
        return "not_an_expression", NO_VOTE
    except ZeroDivisionError:
        return "division_by_zero", NO_VOTE
    return "correct" if close(*value, _target(payload["target"])) else "wrong_value", _votes(value, expression)


def _score(reason: str, answer: str | None, votes: Votes, text: str) -> Score:
    """The verdict with the published study's reward, 1 if correct plus 0.1 for form, over 1.1 so that it is at most 1."""
    correct = reason == "correct"
    ballot, expression = votes
    reward = (correct + 0.1 * format_reward(text)) / 1.1
    return Score(correct, reason, answer and answer[:MAX_ANSWER], ballot, reward, expression)


def _votes(value: tuple[int, int], expression: Postfix) -> Votes:
    ballot = _ballot(*value)
    return NO_VOTE if ballot is None else (ballot, normal_form(expression))


def _ballot(numerator: int, denominator: int) -> str | None:
    """The value in lowest terms: `98`, `-137/5`; None for one too long to be written down. `denominator` ≠ 0."""
    divisor = gcd(numerator, denominator) * (1 if denominator > 0 else -1)
    numerator, denominator = numerator // divisor, denominator // divisor
    if max(numerator.bit_length(), denominator.bit_length()) > MAX_BALLOT_BITS:
        return None
    return str(numerator) if denominator == 1 else f"{numerator}/{denominator}"


def countdown_published(payload: Mapping[str, Any], text: str) -> Score:
    """The verdict of the published rule, `**` and `//` included, without its `eval`.

    Bounded: where the published rule would hang, fail or run out of memory, the verdict is false. The ballot is the exact value,
    where the rule finds a value and it is rational.
    """
    answer = _published_answer(text)
    reason, votes = _published_reason(payload, answer)
    return _score(reason, answer, votes, text)


def _published_reason(payload: Mapping[str, Any], answer: str | None) -> tuple[str, Votes]:
    if not answer:
        return "no_answer", NO_VOTE
    if answer.endswith("\n"):
        answer = answer[:-1]  # the published pattern ends in $, which lets one newline through
    if not _CHARACTERS.fullmatch(answer):
        return "bad_characters", NO_VOTE
    if not _same_numbers(answer, payload["numbers"]):
        return "wrong_numbers", NO_VOTE
    try:
        expression = parse(answer, python=True)
        value = as_python(expression)
        off = abs(float(value) - float(payload["target"]))  # type: ignore[arg-type]  # float(complex) raises TypeError
    except (NotAnExpressionError, UnboundedError, OverflowError, TypeError):
        return "not_an_expression", NO_VOTE
    except ZeroDivisionError:
        return "division_by_zero", NO_VOTE
    return "correct" if off < float(TOLERANCE) else "wrong_value", _published_votes(expression)


def _published_votes(expression: Postfix) -> Votes:
    try:
        return _votes(exact(expression), expression)
    except (UnboundedError, ZeroDivisionError):
        return NO_VOTE


@lru_cache(maxsize=10_000)
def _target(text: str) -> Fraction:
    if "e" in text.lower():
        raise ValueError(f"{text!r} is not a decimal")  # a small text with an exponent may be a number beyond all memory
    return Fraction(text)  # parsing one costs as much as scoring an answer, and a target is needed many times


def _same_numbers(answer: str, numbers: list[int]) -> bool:
    used = _DIGITS.findall(answer)
    if len(used) != len(numbers):
        return False
    if (
        len(answer) > 4000 and max(map(len, used), default=0) > 4000
    ):  # Python refuses to read longer ones, and no problem has them
        return False
    return sorted(map(int, used)) == sorted(numbers)


def _published_answer(text: str) -> str | None:
    """The last match of the published pattern `<answer>(.*?)</answer>`, which pairs tags from the left."""
    answer, at = None, 0
    while (start := text.find(OPEN, at)) >= 0 and (end := text.find(CLOSE, start + len(OPEN))) >= 0:
        answer, at = text[start + len(OPEN) : end], end + len(CLOSE)
    return answer


def format_reward(text: str) -> float:
    """The published reward for form: 1 for `<think>…</think>`, newline, `<answer>…</answer>`; else 0.1 and 0.5 for the parts.

    `text` is what the model generated; the prefill's `<think>` is part of the response.
    """
    response = ("<think>" + text).removesuffix("\n")
    joint = response.find(_JOINT)
    if joint >= 0 and response.endswith(CLOSE) and len(response) - len(CLOSE) >= joint + len(_JOINT):
        return 1.0
    answer_at = response.find(OPEN)
    has_answer = answer_at >= 0 and response.find(CLOSE, answer_at) >= 0
    return (0.1 if "</think>" in response else 0.0) + (0.5 if has_answer else 0.0)
