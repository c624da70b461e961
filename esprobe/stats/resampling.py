"""Resampling with numpy: a bootstrap over problems × draws.

Knows matrices of verdicts and shares, no database and no layout. Only `report --compare` loads it, since numpy is slow to load.
"""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from esprobe.stats.student import Z, t_quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sampled:
    """One arm on m problems. `verdicts`: (m, n) of 0 and 1 where problems share draws (perturbation), else None.

    `samples`: how many consecutive draws are of one model.
    """

    n: Ints  # (m,)
    c: Ints  # (m,)
    verdicts: Floats | None = None
    samples: int = 1


def estimates(n: Ints, c: Ints, k: int) -> Floats:
    """Unbiased pass@k of each n and c (arrays of one shape), as in `estimator`, by a table for each n."""
    out = np.empty(np.broadcast_shapes(n.shape, c.shape))
    sizes = np.unique(n)
    n = np.broadcast_to(n, out.shape)
    for size in sizes:
        steps = np.maximum(size - k - np.arange(size), 0) / (size - np.arange(size))  # (size,)
        table = 1 - np.concatenate([[1.0], np.cumprod(steps)])  # (size + 1,), by c
        if len(sizes) == 1:
            return table[c]
        out[n == size] = table[c[n == size]]
    return out


def resample_draws(arm: Sampled, rounds: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """(n, c) of each problem in each of B resamples of the draws: (m, 1) and (m, B).

    Shared draws are resampled for all problems together (a pigeonhole bootstrap, Owen 2007). Where every problem has draws of its
    own, they travel with the problem, (m, 1): resampling them as well would count their noise twice.
    """
    if arm.verdicts is None:
        return arm.n[:, None], arm.c[:, None]
    size, n = arm.verdicts.shape
    again = _with_replacement(n // arm.samples, rounds, rng).repeat(arm.samples, axis=0)  # (n, B): whole models
    return np.full((size, 1), n), np.rint(arm.verdicts @ again.astype(np.float64)).astype(np.int64)


def bootstrap(counts: tuple[Ints, Ints], problems: Ints, k: int) -> Floats:
    """Mean pass@k in each of B resamples: (B,). `problems`: (m, B), how often each resample contains each problem."""
    each = estimates(*counts, k)  # (m, B) or (m, 1)
    size = len(problems)
    means: Floats = np.einsum("ij,ij->j", each, problems) / size if each.shape[1] > 1 else each[:, 0] @ problems / size
    return means


def resample_problems(size: int, rounds: int, rng: np.random.Generator) -> Ints:
    """(size, rounds): how often each of `rounds` resamples of `size` problems contains each problem."""
    return _with_replacement(size, rounds, rng)


def _with_replacement(size: int, rounds: int, rng: np.random.Generator) -> Ints:
    """(size, rounds): how often each of `size` things is drawn when `size` are drawn with replacement."""
    drawn = rng.integers(0, size, (size, rounds))
    flat = np.bincount((drawn * rounds + np.arange(rounds)).ravel(), minlength=size * rounds)
    return flat.reshape(size, rounds)


def bootstrap_interval(values: Floats, estimate: float, size: float = inf) -> tuple[float, float]:
    """The 95% percentile interval, moved so that its resamples centre on the estimate.

    Resampled draws repeat, and repeats solve nothing new, so at a k near n every resample is too low by about the same.
    Very skewed resamples may have both quantiles on one side of their mean; the interval reaches to the estimate nevertheless.
    `size`: how many things were resampled, of the scarcer kind; resamples of few vary too little, by what Student's t and
    n/(n − 1) give in other intervals (the expanded percentile interval, Hesterberg 2015).
    """
    low, high = np.quantile(values - values.mean(), [0.025, 0.975])
    if size < inf:
        low, high = np.array([low, high]) * t_quantile(size - 1) / Z * sqrt(size / (size - 1))
    return estimate + min(0.0, float(low)), estimate + max(0.0, float(high))
