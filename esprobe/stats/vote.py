"""vote@k: how often the most frequent ballot of k draws is correct, block by block, and what blocks of shared models add.

Knows ballots and shares, no database and no layout. Plain Python. The view `vote_at_k` counts the same in SQL (a test compares).
"""

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from math import inf

from esprobe.stats.intervals import SharedDraws

Ballots = Sequence[str | None]  # one for each draw, in order; None does not vote


def block_shares(ballots: Ballots, right: AbstractSet[str], k: int) -> list[float]:
    """`vote_share` of each disjoint block of k consecutive draws; the last draws are left out where they fill no block."""
    return [vote_share(ballots[at : at + k], right) for at in range(0, len(ballots) - k + 1, k)]


def vote_share(block: Ballots, right: AbstractSet[str]) -> float:
    """The probability that the most frequent ballot is one of the right ones, ties broken at random; 0 where none votes."""
    if right.isdisjoint(block):
        return 0.0
    counts = Counter(block)
    del counts[None]
    most = max(counts.values())
    leaders = [ballot for ballot, count in counts.items() if count == most]
    return sum(ballot in right for ballot in leaders) / len(leaders)


def shared_blocks(shares: Sequence[Sequence[float]]) -> SharedDraws:
    """What blocks of models add to the squared standard error over problems, where block b is the same models for every problem.

    `shares`: problem → the share of each block. With x̄_b the mean of block b over the problems that have it, the blocks' variance
    is Σ(x̄_b − x̄)² / (B·(B − 1)); net of it is less Σ_i Σ_b (x_ib − x̄_i)² / (m²·B·(B − 1)), the problems' own part: two-way
    clustering, as `intervals.shared_draws` has it for pass@k (Cameron, Gelbach & Miller 2011).
    """
    blocks, size = max(map(len, shares)), len(shares)
    if blocks < 2:
        return SharedDraws(1, blocks, 0.0, 0.0, inf)
    means = []
    for block in range(blocks):
        there = [each[block] for each in shares if block < len(each)]
        means.append(sum(there) / len(there))
    scale = blocks * (blocks - 1)
    gross = _squares(means) / scale
    own = sum(map(_squares, shares)) / size**2 / scale
    return SharedDraws(1, blocks, max(0.0, gross - own), gross, inf)


def _squares(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)
