"""Tails of Student's t and of χ², and the t quantile of a 95% interval, for any degrees of freedom, fractional ones too.

Plain Python, since scipy is no dependency; the tests compare it with closed forms and published tables.
"""

from functools import lru_cache
from math import exp, lgamma, log, log1p, pi, sqrt
from statistics import NormalDist

Z = NormalDist().inv_cdf(0.975)
_TINY = 1e-300
_STEPS = 10_000  # both expansions end after about √freedom steps


def two_sided_p(t: float, freedom: float) -> float:
    """The probability that |T| ≥ |t| under Student's t: I_x(freedom/2, 1/2) at x = freedom / (freedom + t²). freedom > 0."""
    square = t * t
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + square), square / (freedom + square))


@lru_cache(maxsize=4096)
def t_quantile(freedom: float) -> float:
    """The 97.5% quantile of Student's t, by Newton's iteration. freedom ≥ 1.

    The tail is convex, and the start, the normal quantile, is below the root, so that no step goes beyond it.
    """
    scale = exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2)) / sqrt(freedom * pi)
    t = Z
    for _ in range(200):
        density = scale * exp(-(freedom + 1) / 2 * log1p(t * t / freedom))
        step = (two_sided_p(t, freedom) - 0.05) / (2 * density)
        t += step
        if step < 1e-12 * t:
            break
    return t


def chi_square_tail(x: float, freedom: float) -> float:
    """The probability that a χ² of so many degrees of freedom is at least x: the upper incomplete gamma Q(freedom/2, x/2)."""
    a, x = freedom / 2, x / 2
    if x <= 0:
        return 1.0
    head = exp(a * log(x) - x - lgamma(a))
    if x < a + 1:  # the series of the lower part converges fast here
        term = total = 1 / a
        for i in range(1, _STEPS):
            term *= x / (a + i)
            total += term
            if term < 1e-16 * total:
                break
        return max(0.0, 1 - head * total)
    b, c = x + 1 - a, 1 / _TINY  # the continued fraction of the upper part, by Lentz's method
    d = 1 / b
    fraction = d
    for i in range(1, _STEPS):
        b += 2
        d = 1 / _apart(-i * (i - a) * d + b)
        c = _apart(b - i * (i - a) / c)
        fraction *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return head * fraction


@lru_cache(maxsize=4096)
def chi_square_quantile(tail: float, freedom: float) -> float:
    """The value that a χ² of so many degrees of freedom exceeds with probability `tail`, by halving an interval around it."""
    low, high = 0.0, freedom + 10.0
    while chi_square_tail(high, freedom) > tail:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if chi_square_tail(middle, freedom) > tail else (low, middle)
        if high - low < 1e-10 * high:
            break
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (Abramowitz & Stegun 26.5.8).

    `rest` is 1 − x, exact where x is near 1.
    """
    if x <= 0 or rest <= 0:
        return float(rest <= 0)
    head = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(rest))
    if x < (a + 1) / (a + b + 2):
        return head * _beta_fraction(a, b, x) / a
    return 1 - head * _beta_fraction(b, a, rest) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Lentz's method, two terms per step."""
    c, d = 1.0, 1 / _apart(1 - (a + b) * x / (a + 1))
    fraction = d
    for i in range(1, _STEPS):
        for term in (
            i * (b - i) * x / ((a + 2 * i - 1) * (a + 2 * i)),
            -(a + i) * (a + b + i) * x / ((a + 2 * i) * (a + 2 * i + 1)),
        ):
            d = 1 / _apart(1 + term * d)
            c = _apart(1 + term / c)
            fraction *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return fraction


def _apart(value: float) -> float:
    """The value, kept away from 0, by which Lentz's method divides."""
    return value if abs(value) > _TINY else _TINY
