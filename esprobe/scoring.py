"""What a verdict on one rollout is. Knows no task; a task's scorers return it, the store keeps it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Score(NamedTuple):
    """A scorer's verdict: `reason` is from the scorer's own small fixed set, `answer` what it extracted.

    `ballot` is the canonical answer under which two rollouts vote alike, so all that share one are correct or none is; None does
    not vote. `reward` (0 to 1) is what training maximises; it never changes `correct`.
    """

    correct: bool
    reason: str
    answer: str | None
    ballot: str | None
    reward: float


Scorer = Callable[[Mapping[str, Any], str], Score]  # (problem payload, generated text) → verdict
