"""vote@k of an arm with its 95% interval, by either ballot: the value, or the expression that has it.

Reads the ballots of an arm once and counts at the k that are asked for. Knows no layout.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import sqrt
from typing import Literal

from esprobe.analysis.arms import ArmRow
from esprobe.analysis.baselines import Tried
from esprobe.analysis.reading import query
from esprobe.stats.intervals import FEW, Interval, SharedDraws, share_interval, variance_over_problems
from esprobe.stats.vote import Ballots, block_shares, shared_blocks

Key = Literal["value", "expression"]
KEYS: tuple[Key, ...] = ("value", "expression")


@dataclass(frozen=True)
class VoteAt:
    """vote@k: the mean over `problems` problems and its standard error over them.

    `shared` is what blocks of perturbed models add; None where every problem has draws of its own.
    """

    k: int
    problems: int
    vote_at_k: float
    stderr: float | None
    shared: SharedDraws | None

    @cached_property
    def interval(self) -> Interval | None:
        """The 95% interval, over problems and over the blocks of models that they share; None for a single block of models."""
        variance = None if self.stderr is None else self.stderr**2
        found = share_interval(self.vote_at_k, variance, self.problems, self.shared)
        return replace(found, doubt=f"few blocks of models ({self.blocks})") if found is not None and self.few_blocks else found

    @property
    def blocks(self) -> int | None:
        """How many blocks of models there are, each shared by all problems; None where draws are not shared."""
        return None if self.shared is None else self.shared.models

    @property
    def few_blocks(self) -> bool:
        """Whether there are too few blocks of models to show how much they vary."""
        return self.blocks is not None and self.blocks < FEW


@dataclass(frozen=True)
class _Cast:
    """What the draws of one problem voted for, and which ballots are right; no ballots are kept where none is."""

    draws: int
    ballots: Ballots
    right: frozenset[str]

    def shares(self, k: int) -> list[float]:
        return block_shares(self.ballots, self.right, k) if self.right else [0.0] * (self.draws // k)


@dataclass(frozen=True)
class ArmVotes:
    """The votes of one arm. `voted`: the kinds of ballot that any draw has.

    Without expressions, as in a task whose answers have none, there is no vote by them.
    """

    shares_draws: bool
    voted: frozenset[Key]
    cast: Mapping[Key, Sequence[_Cast]]
    _found: dict[tuple[Key, int], VoteAt | None] = field(default_factory=dict, compare=False)

    def has(self, key: Key) -> bool:
        """Whether any of its draws has such a ballot."""
        return key in self.voted

    def at(self, key: Key, k: int) -> VoteAt | None:
        """vote@k by this ballot; None where no problem has k draws, or there are no such ballots."""
        if (key, k) not in self._found:
            self._found[key, k] = self._count(key, k)
        return self._found[key, k]

    def _count(self, key: Key, k: int) -> VoteAt | None:
        shares = [cast.shares(k) for cast in self.cast.get(key, ()) if cast.draws >= k]
        if not shares:
            return None
        each = [sum(blocks) / len(blocks) for blocks in shares]
        variance = variance_over_problems(each)
        return VoteAt(
            k=k,
            problems=len(each),
            vote_at_k=sum(each) / len(each),
            stderr=None if variance is None else sqrt(variance),
            shared=shared_blocks(shares) if self.shares_draws else None,
        )


# Whether any draw of the arm has a ballot, an expression, a ballot without an expression.
_KINDS = "SELECT " + ", ".join(
    f"EXISTS (SELECT 1 FROM score WHERE scorer = ?1 AND arm_id = ?2 AND {condition})"
    for condition in ("ballot IS NOT NULL", "expression IS NOT NULL", "ballot IS NOT NULL AND expression IS NULL")
)


def read_votes(connection: sqlite3.Connection, scorer: str, arm: ArmRow, tried: Sequence[Tried]) -> ArmVotes:
    """The votes of an arm; `tried`: its problems."""
    _, rows = query(
        connection,
        "SELECT problem_id, correct, ballot, expression FROM score WHERE scorer = ? AND arm_id = ? "
        "AND problem_id IN (SELECT problem_id FROM score WHERE scorer = ?1 AND arm_id = ?2 AND correct = 1) "
        "ORDER BY draw, problem_id",
        [scorer, arm.arm_id],
    )
    ballots: dict[Key, dict[int, list[str | None]]] = {key: {} for key in KEYS}
    right: dict[Key, dict[int, set[str]]] = {key: {} for key in KEYS}
    alike: dict[str | None, str | None] = {}  # equal ballots are one object
    for problem, correct, *votes in rows:
        for key, vote in zip(KEYS, votes, strict=True):
            ballot = alike.setdefault(vote, vote)
            ballots[key].setdefault(problem, []).append(ballot)
            if correct and ballot is not None:
                right[key].setdefault(problem, set()).add(ballot)
    by_value, by_expression, lacking = query(connection, _KINDS, [scorer, arm.arm_id])[1][0]
    return ArmVotes(
        shares_draws=arm.shares_draws,
        voted=frozenset(key for key, there in zip(KEYS, (by_value, by_expression), strict=True) if there),
        cast={
            key: [_Cast(p.n, ballots[key].get(p.problem_id, ()), frozenset(right[key].get(p.problem_id, ()))) for p in tried]
            for key in (KEYS[:1] if lacking else KEYS)
        },
    )
