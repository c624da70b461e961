"""The one place where texts become verdicts, on their way to the database. Knows scorers, not where texts come from."""

from collections.abc import Iterable

from esprobe.tasks.base import Payload, Score, Scorer


def judge(scorer: Scorer, answers: Iterable[tuple[Payload, str]]) -> list[Score]:
    """The scorer's verdict on each (problem, text), in order."""
    return [scorer(payload, text) for payload, text in answers]
