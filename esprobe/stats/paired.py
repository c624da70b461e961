"""Two arms on the same problems, as numbers: paired differences, overlap, union, cover@τ. Pure functions of counts.

Knows n and c of each problem in either arm, no database and no layout. Plain Python; what needs numpy is in resampling.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma, log

from esprobe.stats.estimator import pass_at_k
from esprobe.stats.intervals import Cell, Interval, SharedDraws, paired_test

TAUS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # as in the view cover_at_tau


@dataclass(frozen=True)
class Difference:
    """Mean pass@k of two arms over the same problems, and first − second with its 95% interval and the p of no difference.

    Interval and p are None where an arm is a single perturbed model.
    """

    k: int
    first: float
    second: float
    difference: float
    interval: Interval | None
    p: float | None


@dataclass(frozen=True)
class Overlap:
    """How many problems either arm solves with equally many draws.

    `independent`: no arm shares its draws among problems. Perturbed models do, so that problems that only one arm solves come
    in clusters, and McNemar's test would find a difference between equal arms of eight models every second time.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    independent: bool = True

    @property
    def p(self) -> float | None:
        """The two-sided p of equal shares, see `mcnemar`; None where draws are shared."""
        return mcnemar(self.only_first, self.only_second) if self.independent else None


def powers_of_two(depth: int) -> list[int]:
    """1, 2, 4, … up to depth, and depth itself."""
    return sorted({1 << i for i in range(depth.bit_length())} | {depth})


def paired_difference(first: Sequence[Cell], second: Sequence[Cell], k: int, shared: Sequence[SharedDraws] = ()) -> Difference:
    """First − second at k, problem by problem (Miller 2024): what makes a problem hard for both cancels.

    `shared`: what the models of either arm add at k, where it is a perturbation arm.
    """
    a, b = [pass_at_k(cell.n, cell.c, k) for cell in first], [pass_at_k(cell.n, cell.c, k) for cell in second]
    tested = paired_test([x - y for x, y in zip(a, b, strict=True)], shared)
    return Difference(
        k=k,
        first=sum(a) / len(a),
        second=sum(b) / len(b),
        difference=tested.difference,
        interval=tested.interval,
        p=tested.p,
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value that both arms solve equally many problems (McNemar 1947).

    Of b + c problems that only one arm solves, each is as likely either's: min(1, 2·Σ_{i ≤ min(b, c)} C(b+c, i) / 2^(b+c)).
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    term = exp(lgamma(total + 1) - lgamma(fewer + 1) - lgamma(total - fewer + 1) - total * log(2))
    tail = 0.0
    for i in range(fewer, -1, -1):  # from the largest term down: C(n, i−1) = C(n, i) · i / (n−i+1)
        tail += term
        term *= i / (total - i + 1)
    return min(1.0, 2 * tail)


def overlap(first: Sequence[bool], second: Sequence[bool], *, independent: bool = True) -> Overlap:
    """Counts the four groups, given whether each problem is solved by either arm (in step)."""
    pairs = list(zip(first, second, strict=True))
    return Overlap(
        both=pairs.count((True, True)),
        only_first=pairs.count((True, False)),
        only_second=pairs.count((False, True)),
        neither=pairs.count((False, False)),
        independent=independent,
    )


def union_at(first: Sequence[Cell], second: Sequence[Cell], k: int) -> float:
    """The expected share solved by k/2 draws of each arm together, to compare with pass@k of one; k is even.

    Counted as in `estimator`: 1 − C(nA−cA, k/2)/C(nA, k/2) · C(nB−cB, k/2)/C(nB, k/2), mean over problems.
    """
    half = k // 2
    if k < 2 or k % 2:
        raise ValueError(f"the union needs an even k, not {k}")
    pairs = zip(first, second, strict=True)
    each = [1 - (1 - pass_at_k(a.n, a.c, half)) * (1 - pass_at_k(b.n, b.c, half)) for a, b in pairs]
    return sum(each) / len(each)


def cover_at(cells: Sequence[Cell], tau: float) -> float:
    """cover@τ: the share of problems that at least a share τ of the draws solves, c ≥ τ·n.

    Dragoi et al. 2025, "Beyond Pass@k: Breadth-Depth Metrics for Reasoning Boundaries", arXiv 2510.08325.
    """
    percent = round(100 * tau)
    return sum(100 * cell.c >= percent * cell.n for cell in cells) / len(cells)
