"""What was found, in a sentence computed from the figures, with its uncertainty: titles of plots, first lines elsewhere.

Knows shares, differences and intervals. Draws nothing and loads no drawing library.
"""

import re
from collections.abc import Sequence
from math import isclose

from esprobe.report.plots.data import Point
from esprobe.report.words import agree, percent
from esprobe.stats.intervals import Interval
from esprobe.stats.paired import Difference


def difference_found(first: str, second: str, at: Difference) -> str:
    """`T 0.4 above σ 0.01 by 5.2 points at k = 8 [0.5, 9.8]`; or that they cannot be told apart, with the difference.

    Of two arms without a correct draw nothing but that.
    """
    if _solve_nothing(at):
        return f"No draw of {first} or {second} is correct"
    low, high = at.interval or (at.difference, at.difference)
    size = at.difference
    if size < 0:
        first, second, size, low, high = second, first, -size, -high, -low
    if isclose(size, 0, abs_tol=1e-9) and at.interval is None:
        return f"{first} and {second} solve equally much at k = {at.k:,}"
    if at.interval is None:
        return f"{first} above {second} by {_points(size)} points at k = {at.k:,}, without an interval: a single perturbed model"
    ends = f"[{_points(low)}, {_points(high)}]"
    doubt = "" if at.interval.trustworthy else f" (not trustworthy: {at.interval.doubt})"
    if low <= 0 or doubt:
        return f"{first} and {second} cannot be told apart at k = {at.k:,}: {_points(size)} points {ends}{doubt}"
    return f"{first} above {second} by {_points(size)} points at k = {at.k:,} {ends}{doubt}"


def finding(first: str, second: str, at: Sequence[Difference]) -> str:
    """The same at the largest k, and at which k either is above, as one sentence."""
    found = difference_found(first, second, at[-1])
    return f"{found}." if len(at) == 1 or _solve_nothing(at[-1]) else f"{found}; {told_apart(first, second, at)}."


def _solve_nothing(at: Difference) -> bool:
    """Whether no draw of either arm is correct: their difference of 0, and its interval, would say less than this does."""
    return not at.first and not at.second


def told_apart(first: str, second: str, at: Sequence[Difference]) -> str:
    """At which k either arm is above the other, each interval by itself: `T 0.4 is above at k = 4 to 64`."""
    parts = []
    for name, sign in ((first, 1), (second, -1)):
        above = [i for i, one in enumerate(at) if decided(one.interval) == sign]
        if above:
            parts.append(f"{name} is above at k = {_runs([one.k for one in at], above)}")
    return ", ".join(parts) or "no k tells them apart"


def decided(interval: Interval | None) -> int:
    """1 or −1 where the interval of a difference is on one side of 0 and to be trusted; else 0."""
    if interval is None or not interval.trustworthy:
        return 0
    return (interval.low > 0) - (interval.high < 0)


def _runs(ks: Sequence[int], places: Sequence[int]) -> str:
    """`1, 4 to 64`: the k at these places, neighbours together."""
    runs: list[list[int]] = []
    for i in places:
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return ", ".join(f"{ks[run[0]]:,}" if len(run) == 1 else f"{ks[run[0]]:,} to {ks[run[-1]]:,}" for run in runs)


def most_found(names: Sequence[str], points: Sequence[Point], what: str = "solves") -> str:
    """`T 0.8 solves most at k = 64: 85.9% [75.0, 92.5], guessing 59.0%`; all that tie are named, or how many they are."""
    first = leaders(names, [point.share for point in points])
    point = points[names.index(first[0])]
    share = percent(point.share, point.band)
    guessing = "" if point.chance is None else f", guessing {percent(point.chance)}"
    if len(names) == 1:
        return f"{names[0]} {what} {share} at k = {point.k:,}{guessing}"
    several = agree(len(first), what, what.removesuffix("s"))
    return f"{listed(first)} {several} most at k = {point.k:,}: {share}{guessing}"


def leaders(names: Sequence[str], shares: Sequence[float]) -> list[str]:
    """Those whose share is the largest: one, or all that tie."""
    most = max(shares)
    return [name for name, share in zip(names, shares, strict=True) if isclose(share, most, abs_tol=1e-9)]


def unbroken(text: str) -> str:
    """The text with spaces that no line breaks at within `[1.0, 2.0]`, `T 0.4` and `k = 8`, and after `◆`."""
    return re.sub(r"\[[^\]]*\]|[Tσ] (?=[\d.])|k = (?=\d)|◆ ", lambda found: found[0].replace(" ", "\u00a0"), text)


def listed(names: Sequence[str], most: int = 3) -> str:
    """`a`, `a and b`, `a, b and 5 others`."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1:,} others"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _points(share: float) -> str:
    """A share as percentage points with a proper minus sign: `5.2`, `−0.3`."""
    return f"{100 * share:.1f}".replace("-0.0", "0.0").replace("-", "−")
