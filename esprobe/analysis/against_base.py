"""A trained model and its base: which of their arms are alike but for the weights, and what votes of their draws are worth.

Knows arms and answers. Must not know layout.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from esprobe.analysis.arms import ArmRow, lies_in
from esprobe.analysis.best import Shared, unlike
from esprobe.analysis.reading import query
from esprobe.arms import called
from esprobe.errors import UserError
from esprobe.stats.intervals import Interval, paired_test


@dataclass(frozen=True)
class VoteStep:
    """vote@k by value of both arms, and their difference with its interval, paired by problem."""

    k: int
    first: float
    second: float
    difference: float
    interval: Interval | None


def trained_model(connection: sqlite3.Connection, asked: str | None) -> str | None:
    """The name of the trained model that is called exactly so, or whose folder this is; None where there is none."""
    rows = query(connection, "SELECT name, folder FROM model WHERE parent_id IS NOT NULL")[1]
    found = (name for name, folder in rows if asked is not None and (name == called(asked) or lies_in(folder, asked)))
    return next(found, None)


def with_base(arms: Sequence[ArmRow], name: str) -> list[tuple[ArmRow, ArmRow]]:
    """Each arm of the trained model of this name with that of its base of the same method, T or σ, and settings.

    Raises UserError where there is none.
    """
    own = [arm for arm in arms if arm.steps and arm.model == name]
    pairs = [(arm, next((other for other in arms if _alike(arm, other)), None)) for arm in own]
    if found := [(arm, other) for arm, other in pairs if other is not None]:
        return found
    base = own[0].root if own else "its base"
    raise UserError(
        f"nothing to compare: {name} and {base} have no arm in common; sample both on the same problems, "
        f"`esprobe sample-temp --model {name} -T 0.8`"
    )


def _alike(arm: ArmRow, other: ArmRow) -> bool:
    same = (other.method, other.value) == (arm.method, arm.value)
    return same and other.model_digest == arm.root_digest and not unlike(arm, other)


def vote_steps(
    connection: sqlite3.Connection, scorer: str, arms: Sequence[ArmRow], shared: Shared, ks: Sequence[int]
) -> list[VoteStep]:
    """vote@k of two arms on the problems that they share, by their first draws; none where models are shared by problems."""
    if any(arm.shares_draws for arm in arms):
        return []
    import numpy as np

    from esprobe.analysis.answers import Numbers, read_answers
    from esprobe.stats.top_votes import block_votes, coded

    numbers = Numbers()
    both = [read_answers(connection, scorer, arm.arm_id, numbers).on(np.array(shared.problems)) for arm in arms]
    if any((answers.ballots >= 0).sum() == 0 and answers.correct.any() for answers in both):
        return []  # imported rollouts without ballots
    ballots = [coded(answers.ballots[: shared.depth], answers.correct[: shared.depth]) for answers in both]
    depth = min(len(one.codes) for one in ballots)
    steps = []
    for k in (k for k in ks if k <= depth):
        first, second = (block_votes(one, k) for one in ballots)
        tested = paired_test((first - second).tolist())
        steps.append(VoteStep(k, float(first.mean()), float(second.mean()), tested.difference, tested.interval))
    return steps
