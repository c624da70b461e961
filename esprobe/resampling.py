"""Resampling with numpy: a bootstrap over problems × draws, and the choice of the best arm on one half of the problems.

Knows matrices of verdicts and shares, no database and no layout. Only `report --compare` loads it, since numpy is slow to load.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Sampled:
    """One arm on m problems. `verdicts`: (m, n) of 0 and 1 where problems share draws (perturbation), else None."""

    n: Counts  # (m,)
    c: Counts  # (m,)
    verdicts: Floats | None = None


def estimates(n: Counts, c: Counts, k: int) -> Floats:
    """Unbiased pass@k of each n and c (arrays of one shape), 1 − C(n−c, k)/C(n, k) (Chen et al. 2021), by a table for each n."""
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


def resample_draws(arm: Sampled, rounds: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """(n, c) of each problem in each of B resamples of the draws: (m, 1) and (m, B).

    Shared draws are resampled for all problems together (a pigeonhole bootstrap, Owen 2007). Where every problem has draws of its
    own, they travel with the problem, (m, 1): resampling them beside the problems would count their noise twice.
    """
    if arm.verdicts is None:
        return arm.n[:, None], arm.c[:, None]
    size, n = arm.verdicts.shape
    again = _with_replacement(n, rounds, rng)  # (n, B)
    return np.full((size, 1), n), np.rint(arm.verdicts @ again.astype(np.float64)).astype(np.int64)


def bootstrap(counts: tuple[Counts, Counts], problems: Counts, k: int) -> Floats:
    """Mean pass@k in each of B resamples: (B,). `problems`: (m, B), how often each resample holds each problem."""
    each = estimates(*counts, k)  # (m, B) or (m, 1)
    size = len(problems)
    means: Floats = np.einsum("ij,ij->j", each, problems) / size if each.shape[1] > 1 else each[:, 0] @ problems / size
    return means


def resample_problems(size: int, rounds: int, rng: np.random.Generator) -> Counts:
    """(size, rounds): how often each of `rounds` resamples of `size` problems holds each problem."""
    return _with_replacement(size, rounds, rng)


def _with_replacement(size: int, rounds: int, rng: np.random.Generator) -> Counts:
    """(size, rounds): how often each of `size` things is drawn when `size` are drawn with replacement."""
    drawn = rng.integers(0, size, (size, rounds))
    flat = np.bincount((drawn * rounds + np.arange(rounds)).ravel(), minlength=size * rounds)
    return flat.reshape(size, rounds)


def bootstrap_interval(values: Floats, estimate: float) -> tuple[float, float]:
    """The 95% percentile interval, moved so that its resamples centre on the estimate.

    Resampled draws repeat, and repeats solve nothing new, so at a k near n every resample is too low by about the same.
    """
    low, high = np.quantile(values - values.mean(), [0.025, 0.975])
    return estimate + float(low), estimate + float(high)


def split_halves(first: Floats, second: Floats, splits: int, seed: int) -> tuple[float, float, float]:
    """The winner's curse undone: chooses the best arm of either kind on one half of the problems, compares on the other.

    `first` (arms, m) and `second` (arms, m): each arm's pass@k by problem. Both ways round, mean over seeded random halves.
    Returns (first, second, share of the choices that fell on the arms that are best over all problems).
    """
    rng = np.random.default_rng(seed)
    size = first.shape[1]
    half = size // 2
    order = rng.permuted(np.tile(np.arange(size), (splits, 1)), axis=1)  # (splits, m)
    inside = np.zeros((splits, size))
    np.put_along_axis(inside, order[:, :half], 1.0, axis=1)
    chosen = np.concatenate([inside, 1 - inside])  # (2·splits, m): where the arms are chosen
    held = 1 - chosen
    weights = held.sum(1)
    means, same = [], np.ones(len(chosen), dtype=bool)
    for shares in (first, second):
        best = (chosen @ shares.T).argmax(1)  # (2·splits,)
        means.append(float(((held @ shares.T)[np.arange(len(best)), best] / weights).mean()))
        same &= best == shares.mean(1).argmax()
    return means[0], means[1], float(same.mean())
