"""How uncertain a mean pass@k is: its 95% interval, and the part of its variance that comes from draws shared by all problems.

Knows counts and means, no database and no layout. Plain Python, so that `esprobe report` starts at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from statistics import NormalDist

from esprobe.estimator import pass_at_k

Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Cell:
    """One problem in one arm: n draws of which c are correct."""

    n: int
    c: int


@cache
def t_quantile(freedom: int) -> float:
    """The 97.5% quantile of Student's t: Fisher's expansion in 1/freedom, within 0.2% from 3 on; exact for 1 and 2."""
    if freedom < 3:
        return (12.706204736432095, 4.302652729911275)[freedom - 1]
    terms = (
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
        (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
    )
    return Z + sum(term / float(freedom) ** i for i, term in enumerate(terms, 1))


def share_interval(mean: float, variance: float | None, size: int) -> tuple[float, float]:
    """The 95% interval of a mean of `size` shares, each between 0 and 1, whose squared standard error is `variance`.

    Wilson's interval (1927) at the effective sample size mean·(1 − mean) / variance, with the quantile of Student's t. It stays
    inside 0 … 1, is skewed near the ends, and where every share is 0 (or 1) still allows about 4/size, where mean ± 1.96 standard
    errors would claim certainty (Bowyer et al. 2025). Chosen by simulation: tests/benchmarks/coverage.py.
    """
    if size < 2 or variance is None:
        return 0.0, 1.0
    t = t_quantile(size - 1)
    spread = mean * (1 - mean)
    effective = spread / variance if variance > 0 and spread > 0 else float(size)
    middle = (mean + t * t / (2 * effective)) / (1 + t * t / effective)
    half = t / (1 + t * t / effective) * sqrt(max(spread, 0.0) / effective + t * t / (4 * effective * effective))
    return max(0.0, min(mean, middle - half)), min(1.0, max(mean, middle + half))


def difference_interval(difference: float, variance: float | None, size: int) -> tuple[float, float]:
    """The 95% interval of a paired difference over `size` problems: Student's t, within −1 … 1 (Miller 2024, paired errors)."""
    if size < 2 or variance is None:
        return -1.0, 1.0
    t = t_quantile(size - 1)
    # equal differences on all problems are no certainty: as wide as a share interval is where all shares are equal
    half = t * sqrt(variance) if variance > 0 else t * t / (size + t * t)
    return max(-1.0, difference - half), min(1.0, difference + half)


def variance_over_problems(each: Sequence[float]) -> float | None:
    """Squared standard error of the mean over problems, Σ(x − mean)² / (m·(m − 1)); None for a single problem."""
    size = len(each)
    if size < 2:
        return None
    mean = sum(each) / size
    return sum((x - mean) ** 2 for x in each) / (size * (size - 1))


@cache
def weight(n: int, c: int, k: int) -> float:
    """What one of c correct draws is worth: pass@k of (n − 1, c) less that of (n − 1, c − 1); k = n is taken as n − 1."""
    if c == 0 or n < 2:
        return 0.0
    k = min(k, n - 1)
    return pass_at_k(n - 1, min(c, n - 1), k) - pass_at_k(n - 1, c - 1, k)


def variance_over_shared_draws(
    cells: Sequence[Cell], correct: Mapping[int, Iterable[tuple[int, int, int]]], k: int
) -> float | None:
    """What draws shared by all problems add to the variance over problems; None for a single draw.

    The delete-one jackknife over draws, less the part of it that is each cell's own and stands in the variance over problems
    already: the two-way clustered variance (Cameron, Gelbach & Miller 2011; Miller 2024 for evaluations), never below 0.
    `correct`: draw → (n, c, how many) of the problems that it solves. Problems of fewer than k draws are left out; a problem
    of n draws is taken to have draws 0 … n − 1.
    """
    used = [cell for cell in cells if cell.n >= k]
    draws = max((cell.n for cell in used), default=0)
    if draws < 2:
        return None
    expected = [0.0] * draws  # of the draw's sum, by chance
    own = 0.0
    lengths: dict[int, float] = {}
    for cell in used:
        w = weight(cell.n, cell.c, k)
        rate = cell.c / cell.n
        lengths[cell.n] = lengths.get(cell.n, 0.0) + w * rate
        own += w * w * cell.c * (1 - rate)
    for n, part in lengths.items():
        for draw in range(n):
            expected[draw] += part
    sums = [0.0] * draws
    for draw, solved in correct.items():
        if draw < draws:
            sums[draw] = sum(weight(n, c, k) * count for n, c, count in solved if n >= k)
    shared = sum((s - e) ** 2 for s, e in zip(sums, expected, strict=True))
    return max(0.0, (shared - own) * (draws - 1) / draws / len(used) ** 2)
