"""The plot that decides between two arms: both curves of pass@k, and their difference problem by problem with its interval.

Knows differences and the style. Must not know how the arms were chosen, nor the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from esprobe.report.plots import style
from esprobe.report.plots.curves import best_pair, chance_line, chosen_notes, describe, draw_curve, highest
from esprobe.report.plots.data import Point, Subject
from esprobe.report.plots.findings import difference_found, told_apart
from esprobe.report.plots.labels import at_ends
from esprobe.report.words import points
from esprobe.stats.paired import Difference


@dataclass(frozen=True)
class Side:
    """One of the two arms, as it is drawn. `look`: colour, marker and line."""

    name: str
    look: dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """Two arms at each k, first − second; `chance` at the same k, where it is known of all problems."""

    first: Side
    second: Side
    at: Sequence[Difference]
    chance: Sequence[float | None]
    about: str  # the second line of the title
    notes: Sequence[str]


def paired_difference(subject: Subject) -> Figure | str:
    """The best temperature and the best perturbation arm."""
    best = best_pair(subject)
    if isinstance(best, str):
        return best
    colours = style.of_arms(subject.drawn)
    first, second = (
        Side(subject.labels[arm.arm_id], style.look(arm.method, colours.get(arm.arm_id, style.GREY))) for arm in best.arms
    )
    pair = Pair(
        first=first,
        second=second,
        at=best.differences,
        chance=[at.chance for at in subject.data.shared_curve(best.arms[0], best)],
        about=describe(subject, f"{len(best.correct):,}", f"{best.depth:,}") + " each",
        notes=[f"scored by {subject.scorer}", *chosen_notes(subject)],
    )
    return draw_pair(pair)


def draw_pair(pair: Pair) -> Figure:
    """pass@k of both on the left, first − second on the right."""
    a, b = pair.first.name, pair.second.name
    title = f"{difference_found(a, b, pair.at[-1])}\n{pair.about}; {told_apart(a, b, pair.at)}"
    notes = [*pair.notes, "band: 95% interval of each k by itself, paired by problem; filled where it excludes 0"]
    made, (left, right) = style.figure(title, notes, columns=2, share_y=False)
    _curves(left, pair)
    _difference(right, pair)
    return made


def _curves(axes: Axes, pair: Pair) -> None:
    both = zip(pair.at, pair.chance, strict=True)
    first, second = zip(
        *((Point(at.k, at.first, None, chance), Point(at.k, at.second, None, chance)) for at, chance in both), strict=True
    )
    style.share_axis(axes, highest([first, second]))
    style.draws_axis(axes, first[-1].k)
    ends = [draw_curve(axes, points, side.name, side.look) for side, points in ((pair.first, first), (pair.second, second))]
    at_ends(axes, [*ends, *chance_line(axes, [first])], style.HEIGHT)
    axes.set_ylabel("pass@k, mean over problems")


def _difference(axes: Axes, pair: Pair) -> None:
    ks, found = [at.k for at in pair.at], [at.difference for at in pair.at]
    trusted = [at.interval if at.interval and at.interval.trustworthy else None for at in pair.at]
    low = [at.low if at else value for at, value in zip(trusted, found, strict=True)]
    high = [at.high if at else value for at, value in zip(trusted, found, strict=True)]
    axes.fill_between(ks, low, high, where=[at is not None for at in trusted], color=style.GREY, alpha=0.25, lw=0)
    if len(ks) == 1:
        axes.vlines(ks, low, high, color=style.GREY, lw=4, alpha=0.4)
    axes.axhline(0, color="black", lw=1.0, zorder=2)
    axes.plot(ks, found, color="black", lw=1.6, zorder=3)
    for k, value, interval in zip(ks, found, trusted, strict=True):
        decided = interval is not None and not interval.low <= 0 <= interval.high
        side = pair.first if value >= 0 else pair.second
        fill = side.look["color"] if decided else "white"
        axes.plot([k], [value], side.look["marker"], ms=6, mfc=fill, mec=side.look["color"], zorder=4, clip_on=False)
    reach = max(0.02, *map(abs, (*low, *high)))
    axes.set_ylim(min(-0.35 * reach, 1.12 * min(low)), max(0.35 * reach, 1.12 * max(high)))
    style.draws_axis(axes, ks[-1])
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: points(share).removesuffix(".0")))
    axes.set_ylabel("difference, percentage points")
    for side, place, at in ((pair.first, "top", 0.985), (pair.second, "bottom", 0.015)):
        axes.text(
            0.03, at, f"{side.name} better", transform=axes.transAxes, va=place, color=side.look["color"], fontsize=8, zorder=5
        )
