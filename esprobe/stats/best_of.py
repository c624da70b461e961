"""The best of N models by their scores: which of a pool it is, how probably, with numpy.

Knows scores of models, whole numbers of correct answers. Knows no problems, no database and no layout.
"""

from functools import lru_cache

import numpy as np

from esprobe.stats.resampling import Floats, Ints


class Pools:
    """R pools of n models each: `scores`, (R, n), whole and at least 0; `times`, (R, n), how often a model is in the pool."""

    def __init__(self, scores: Ints, times: Ints | None = None) -> None:
        rows, _ = scores.shape
        lowest = scores.min(axis=1, keepdims=True)
        width = int((scores - lowest).max()) + 1
        self._times = np.ones_like(scores) if times is None else times
        self._cell = scores - lowest + width * np.arange(rows)[:, None]  # (R, n), where a model's score is counted
        counted = np.bincount(self._cell.ravel(), self._times.ravel(), rows * width).reshape(rows, width)
        self._alike = np.maximum(counted, 1)
        self._at_most = np.rint(counted.cumsum(axis=1)).astype(np.int64)  # models of at most this score
        self.models = int(self._at_most[0, -1])

    def best(self, size: int) -> Floats:
        """(R, n): the probability that each model is the best of `size` drawn without replacement, 1 … `models`.

        Σ_r C(n − r, N − 1)/C(n, N) for the r-th best; of models of equal score each is as probable, as if a coin chose. Summed
        over scores: the best of N has a score of at most s with probability C(models of at most s, N)/C(n, N).
        """
        chance = np.diff(within(self.models, size)[self._at_most], axis=1, prepend=0.0) / self._alike
        weights: Floats = chance.ravel()[self._cell] * self._times
        return weights


@lru_cache(maxsize=64)
def within(n: int, size: int) -> Floats:
    """C(x, size)/C(n, size) for x = 0 … n: (n + 1,). The probability that `size` of n things are all among some x of them.

    By a running product from x = n down, C(x − 1, size)/C(x, size) = (x − size)/x, in which nothing can overflow.
    ValueError unless 1 ≤ size ≤ n.
    """
    if not 1 <= size <= n:
        raise ValueError(f"choosing needs 1 ≤ N ≤ n, not N = {size}, n = {n}")
    steps = np.maximum(np.arange(n, 0, -1) - size, 0) / np.arange(n, 0, -1)
    shares: Floats = np.concatenate([[1.0], np.cumprod(steps)])[::-1]
    shares.flags.writeable = False  # others will read it too
    return shares


def powers(most: int) -> list[int]:
    """1, 2, 4, … and `most` itself."""
    return sorted({1 << i for i in range(most.bit_length())} | {most})
