"""Rows of the one table that `python -m tests.benchmarks` prints: ours and its counterpart, measured in turns in one run.

A benchmark is a module with `rows() -> list[Row]`; its name in `tests/benchmarks/__main__.py` adds it to the table.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from esprobe.report import render as rendering

ONCE = False  # whether a round is enough: it shows that a benchmark runs, and its figures say little


class Ratio(NamedTuple):
    """How many times as good ours is as its counterpart, so above 1 ours wins: of the rounds, the middle one and the ends."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """`floor`: what no way can avoid."""

    what: str
    ours: float
    unit: str
    beside: str = ""
    theirs: float | None = None
    ratio: Ratio | None = None
    floor: str = ""


def render(rows: Sequence[Row], style: rendering.Format = "table") -> str:
    """The table as text, for people or as Markdown."""
    columns = ["what", "ours", "unit", "beside", "theirs", "ratio", "floor"]
    lines = [[r.what, figure(r.ours), r.unit, r.beside, figure(r.theirs), times(r.ratio), r.floor] for r in rows]
    return rendering.render(columns, lines, style)


def figure(value: float | None) -> str:
    """Three digits that count, thousands in full."""
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def times(ratio: Ratio | None) -> str:
    """The middle with its spread, which a single round has not."""
    if ratio is None:
        return ""
    median, low, high = (f"{value:.2f}" if value < 10 else f"{value:,.0f}" for value in ratio)
    return f"×{median}" if ratio.low == ratio.high else f"×{median} ({low}–{high})"


def in_turns(works: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each work returns in each round. In turns, so that whatever else the machine does meets all alike."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(1 if ONCE else rounds):
        for name, work in works.items():
            found[name].append(work())
    return found


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Of the rounds' own ratios, not of their medians: what disturbed a round disturbed both sides of it."""
    found = [a / b for a, b in zip(above, below, strict=True)]
    return Ratio(statistics.median(found), min(found), max(found))
