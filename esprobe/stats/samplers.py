"""What sampling makes of problems at a budget: votes and pass@b of draws, the best of N perturbed models, votes of the top K.

Knows matrices of verdicts and ballots by draw and problem. Knows no arm, no database and no layout. With numpy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from esprobe.stats.best_of import Pools
from esprobe.stats.resampling import Floats, Ints, estimates
from esprobe.stats.selection import halves
from esprobe.stats.top_votes import Ballots, Flags, block_votes, votes

Measure = Literal["value", "expression", "pass"]  # votes by either ballot; with a verifier
SEED = 20251126
SPLITS = 20  # random halves of the problems that settings are chosen on
TIES = 16  # orders of models that are equally good where they are chosen


@dataclass(frozen=True)
class Drawn:
    """n draws, or perturbed models, on m problems. `solved`: (n, m). `ballots`: of the measures that are votes."""

    solved: Flags
    ballots: Mapping[Measure, Ballots]

    @property
    def count(self) -> int:
        """How many, n."""
        return len(self.solved)

    def at(self, measure: Measure, own: int) -> Floats:
        """Of each problem, (m,), what `own` draws taken at random make of it: 1 ≤ own ≤ n."""
        if measure != "pass":
            return block_votes(self.ballots[measure], own)
        return estimates(np.array([self.count]), self.solved.sum(0).astype(np.int64), own)

    def first(self, count: int) -> "Drawn":
        """The first so many draws alone."""
        ballots = {key: Ballots(b.codes[:count], b.right, b.problem, b.solved[:count]) for key, b in self.ballots.items()}
        return Drawn(self.solved[:count], ballots)

    def of(self, measure: Measure, orders: Ints, size: int) -> Floats:
        """(R, m): what the first `size` models of each of R orders, (R, ≥ size), make of each problem."""
        voters = next(iter(self.ballots.values())) if measure == "pass" else self.ballots[measure]
        voted, any_right = votes(voters, orders, [size])
        found: Floats = (any_right if measure == "pass" else voted)[:, 0].astype(np.float64)
        return found


def best_of(scored: Drawn, tested: Drawn, size: int) -> Floats:
    """(m,): what the best of `size` models taken at random, by their verdicts in `scored`, makes of each problem of `tested`."""
    weights = Pools(scored.solved.sum(1)[None].astype(np.int64)).best(size)
    worth: Floats = weights @ tested.solved  # (1, m)
    first: Floats = worth[0]
    return first


def top_of(scored: Drawn, tested: Drawn, measure: Measure, size: int, top: int) -> Floats:
    """(m,): what the `top` best of the first `size` models make together of each problem of `tested`."""
    rng = np.random.default_rng(SEED)
    orders = _orders(np.repeat(scored.solved[:size].sum(1)[None], TIES, axis=0), top, rng)
    worth: Floats = tested.first(size).of(measure, orders, top).mean(0)
    return worth


def held_best(scored: Drawn, size: int) -> float:
    """What `best_of` has on the problems that models are chosen on, where half of them choose and the other half tests."""
    inside, outside = _halves(scored)
    weights = Pools((inside @ scored.solved.T).astype(np.int64)).best(size)
    return float((weights * (outside @ scored.solved.T)).sum(1).mean())


def held_top(scored: Drawn, measure: Measure, size: int, top: int) -> float:
    """The same of `top_of`."""
    inside, outside = _halves(scored)
    few = scored.first(size)
    orders = _orders(np.rint(inside @ few.solved.T), top, np.random.default_rng(SEED))
    return float((outside * few.of(measure, orders, top)).sum(1).mean())


def _halves(scored: Drawn) -> tuple[Floats, Floats]:
    """(2 · SPLITS, m) twice: 1 where models are chosen; the shares of the others, which sum to 1."""
    inside = halves(scored.solved.shape[1], SPLITS, np.random.default_rng(SEED)).astype(np.float64)
    outside = 1 - inside
    return inside, outside / outside.sum(1, keepdims=True)


def _orders(scores: Floats | Ints, top: int, rng: np.random.Generator) -> Ints:
    """(R, top) from (R, n): the best models, equal ones in random order."""
    found: Ints = np.argsort(-(scores + rng.random(scores.shape)), axis=1)[:, :top]
    return found
