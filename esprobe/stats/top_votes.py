"""Votes of the models that come first in some order, and whether any of them is right, with numpy.

Knows ballots as numbers, verdicts and orders of models. Knows no scores, no database and no layout.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esprobe.stats.resampling import Floats, Ints

Flags = NDArray[np.bool_]

_CELLS = 8_000_000  # of a table of orders × ballots that is held at once


@dataclass(frozen=True)
class Ballots:
    """Who voted for what: n voters, models or draws, on m problems, each of which has P ballots of its own, all in one list.

    `codes`: (n, m), the place of each one's ballot in the list; P, one beyond its end, did not vote. `right`: (P,), whether a
    ballot is correct. `problem`: (P,), whose ballot it is, ascending. `solved`: (n, m), whether the answer is correct.
    """

    codes: NDArray[np.int32]
    right: Flags
    problem: Ints
    solved: Flags

    def of(self, problems: Flags) -> "Ballots":
        """On some of the problems, (m,), alone."""
        kept = problems[self.problem]
        codes = np.append(np.cumsum(kept) - 1, kept.sum()).astype(np.int32)[self.codes[:, problems]]
        return Ballots(codes, self.right[kept], (np.cumsum(problems) - 1)[self.problem[kept]], self.solved[:, problems])


def coded(ballots: Ints, solved: Flags) -> Ballots:
    """From (n, m) numbers, of which equal ones on one problem are one ballot and those below 0 are none, and (n, m) verdicts."""
    n, m = ballots.shape
    width = int(ballots.max(initial=0)) + 1
    keys, codes = np.unique(np.where(ballots < 0, m * width, ballots + width * np.arange(m)), return_inverse=True)
    codes = codes.reshape(n, m)
    if len(keys) and keys[-1] == m * width:
        keys = keys[:-1]
    right = np.zeros(len(keys) + 1, dtype=bool)
    right[codes[solved]] = True
    return Ballots(codes.astype(np.int32), right[:-1], keys // width, solved)


def votes(ballots: Ballots, orders: Ints, sizes: Sequence[int]) -> tuple[Flags, Flags]:
    """For R orders of models, (R, K), the first K of each, K in `sizes`: two arrays of (R, len(sizes), m).

    The first: whether the most frequent ballot is right, ties to the ballot whose first model comes first in the order (RandOpt,
    Gan & Isola 2026); models without a ballot do not vote, and where none votes it is not right. The second: whether any of the
    K models is right. A model that is in an order twice votes twice.
    """
    solved: Flags = np.any(ballots.solved, axis=0)  # on the other problems nothing can be right
    some = ballots.of(solved)
    step = max(1, _CELLS // (len(some.right) + 1))
    shape = len(orders), len(sizes), len(solved)
    voted: Flags = np.zeros(shape, dtype=np.bool_)
    any_right: Flags = np.zeros(shape, dtype=np.bool_)
    for first in range(0, len(orders), step):
        part = slice(first, first + step)
        voted[part][..., solved], any_right[part][..., solved] = _of_orders(some, orders[part], sizes)
    return voted, any_right


def _of_orders(ballots: Ballots, orders: Ints, sizes: Sequence[int]) -> tuple[Flags, Flags]:
    """A ballot's standing is one number: votes · most + 2 · how early its first vote came + whether it is right."""
    rows, deepest = len(orders), max(sizes)
    width = len(ballots.right) + 1
    most = np.int32(2 * (deepest + 1))
    nobody = np.int32(np.iinfo(np.int32).min // 2)  # where those who do not vote are counted; it can never win
    standing = np.tile(np.append(ballots.right, nobody).astype(np.int32), rows)
    start = width * np.arange(rows)[:, None]
    best = np.zeros((rows, ballots.codes.shape[1]), dtype=np.int32)
    solved = np.zeros(best.shape, dtype=bool)
    voted, any_right = (np.empty((rows, len(sizes), best.shape[1]), dtype=bool) for _ in range(2))
    for place in range(deepest):
        models = orders[:, place]
        cell = ballots.codes[models] + start  # (rows, m)
        found = standing[cell]
        found += most + (found < 2) * np.int32(2 * (deepest - place))
        standing[cell] = found
        np.maximum(best, found, out=best)
        solved |= ballots.solved[models]
        if place + 1 in sizes:
            column = sizes.index(place + 1)
            voted[:, column], any_right[:, column] = best & 1, solved
    return voted, any_right


def block_votes(ballots: Ballots, size: int) -> Floats:
    """vote@K of each problem, (m,): mean over the disjoint blocks of `size` consecutive draws, ties shared equally.

    The voters are an arm's n draws, in their order, and n is at least `size`; what is left over at the end is not used.
    """
    n, m = ballots.codes.shape
    width = len(ballots.right)
    with_ballots, starts = np.unique(ballots.problem, return_index=True)
    shares: Floats = np.zeros(m)
    for first in range(0, n - size + 1, size):
        tally = np.bincount(ballots.codes[first : first + size].ravel(), minlength=width + 1)[:width]
        most = np.zeros(m, dtype=np.int64)
        if width:
            most[with_ballots] = np.maximum.reduceat(tally, starts)
        winning = (tally > 0) & (tally == most[ballots.problem])
        winners = np.bincount(ballots.problem[winning], minlength=m)
        shares += np.bincount(ballots.problem[winning & ballots.right], minlength=m) / np.maximum(winners, 1)
    shares /= n // size
    return shares
