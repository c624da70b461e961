"""Asks math-verify whether two answers are equal. Loaded only in a process that can be killed; knows formulas in LaTeX."""

from math_verify import LatexExtractionConfig, parse, verify

MAX_BALLOT = 1000  # characters
_BOXED = [LatexExtractionConfig(boxed_match_priority=0)]


def verdict(gold: str, answer: str) -> tuple[str, str | None]:
    """(reason, ballot) of an answer, both in LaTeX; the ballot is the formula as sympy writes it."""
    there = _parsed(answer)
    if not there:
        return "not_a_formula", None
    ballot = str(there[0])
    correct = verify(_parsed(gold), there[:1], timeout_seconds=None)
    return "correct" if correct else "wrong_value", ballot if len(ballot) <= MAX_BALLOT else None


def readable(gold: str) -> bool:
    """Whether a gold answer can be compared with anything."""
    return bool(_parsed(gold))


def _parsed(answer: str) -> list[object]:
    found: list[object] = parse(f"\\boxed{{{answer}}}", extraction_config=_BOXED, parsing_timeout=None)
    return found
