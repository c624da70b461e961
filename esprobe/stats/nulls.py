"""What no skill would score, problem by problem: guessing, guessing distinct values, one greedy answer and guesses; by strata.

Knows counts and facts of problems, no database and no layout. pass@k is no sum of chance and skill, so that each is a number
to compare with, and a difference to chance is not the part of pass@k that is due to the model. Plain Python.
"""

from collections.abc import Iterable, Sequence
from math import exp, lgamma, log, log1p

from esprobe.stats.estimator import pass_at_k
from esprobe.stats.intervals import Cell, Interval, SharedDraws, paired_test
from esprobe.stats.paired import Difference


def guessing(chance: float, k: int) -> float:
    """The probability that one of k independent random valid answers is right: 1 − (1 − p)^k."""
    return 1 - (1 - chance) ** k


def over_guessing(cells: Sequence[Cell], chances: Sequence[float], k: int, shared: SharedDraws | None = None) -> Difference:
    """pass@k − guessing at the same k, paired by problem, with its 95% interval; chance is exact and adds no variance.

    The interval ends where pass@k would be 0 or 1.

    `first` is the arm's mean pass@k, `second` that of guessing. `shared`: what the models of a perturbation arm add at k.
    """
    a = [pass_at_k(cell.n, cell.c, k) for cell in cells]
    b = [guessing(p, k) for p in chances]
    tested = paired_test([x - y for x, y in zip(a, b, strict=True)], [] if shared is None else [shared])
    chance, above, interval = sum(b) / len(b), tested.difference, tested.interval
    if interval is not None:  # which rounding may leave a hair beyond the difference
        low, high = max(-chance, interval.low), min(1 - chance, interval.high)
        interval = Interval(min(above, low), max(above, high), interval.doubt)
    return Difference(k=k, first=sum(a) / len(a), second=chance, difference=above, interval=interval, p=tested.p)


def distinct_values(outcomes: int | None, chance: float | None, k: int) -> float | None:
    """The probability that k guesses include the target if each of the values that valid answers can have is as likely.

    1 − (1 − 1/outcomes)^k: a guess of expressions favours values that many expressions have, this one does not. 0 where no
    valid answer has the target's value (chance 0); None where either is not known.
    """
    if chance is None:
        return None
    if chance <= 0:
        return 0.0
    return None if outcomes is None else guessing(1 / outcomes, k)


def greedy_and_guesses(right: float, chance: float, k: int) -> float:
    """What one greedy answer and k − 1 random valid ones solve: 1 where greedy is right, else 1 − (1 − p)^(k − 1).

    `right`: the share of correct draws of greedy decoding, 0 or 1 for a single one. A sampler of k draws that does not reach
    this mean has found nothing that greedy decoding and guessing would not.
    """
    return right + (1 - right) * guessing(chance, k - 1)


def mean_if_known(each: Iterable[float | None]) -> float | None:
    """The mean over problems; None where one of them is not known, or there is none."""
    values = list(each)
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def strata(names: Sequence[str | None]) -> dict[str, list[int]]:
    """Stratum → the places of its problems, in the order of names; nothing unless every problem has one and there are two."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        if name is None:
            return {}
        found.setdefault(name, []).append(place)
    return dict(sorted(found.items())) if len(found) > 1 else {}


def cover_by_guessing(n: int, chance: float, tau: float) -> float:
    """The probability that guessing covers a problem at τ: that of n random valid answers at least τ·n are right.

    P(X ≥ ⌈τ·n⌉) under the binomial distribution of n and p; its mean over problems is the cover@τ of chance.
    """
    needed = -(-round(100 * tau) * n // 100)  # τ is a whole percentage, and in whole numbers no rounding decides
    if needed <= 0 or chance >= 1:
        return 1.0
    if chance <= 0:
        return 0.0
    odds = log(chance) - log1p(-chance)
    # from the larger side, so that a small tail is not the difference of two numbers near 1
    upper = needed > n * chance
    counts = range(needed, n + 1) if upper else range(needed)
    start = n * log1p(-chance) + lgamma(n + 1)
    total = sum(exp(start - lgamma(i + 1) - lgamma(n - i + 1) + i * odds) for i in counts)
    return min(1.0, total) if upper else max(0.0, 1 - total)


def taus_that_tell(taus: Sequence[float], n: int) -> list[float]:
    """Those τ at which cover@τ requires more than one lucky draw: τ ≥ 2/n. Below, it is nearly pass@n, which favours guessing."""
    return [tau for tau in taus if round(100 * tau) * n >= 200]
