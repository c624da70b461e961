"""What a verdict on one rollout is. Knows no task; a task's scorers return it, the store keeps it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Score(NamedTuple):
    """A scorer's verdict: `reason` is from the scorer's own small fixed set, `answer` what it extracted.

    `format_reward` (0 to 1) judges the form of the response alone; it never changes `correct`.
    """

    correct: bool
    reason: str
    answer: str | None
    format_reward: float


Scorer = Callable[[Mapping[str, Any], str], Score]  # (problem payload, generated text) → verdict
