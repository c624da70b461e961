"""Plots of pass@k over T and over σ, and over the kinds of problems.

Knows a subject's data and the style. A function returns a figure, or in a few words why these data make none.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from esprobe.analysis.arms import ArmRow
from esprobe.arms import truncation
from esprobe.methods import COMPARED, GREEDY, SAMPLED, TEMPERATURE, Method
from esprobe.report.plots import style
from esprobe.report.plots.curves import banded, ceiling_line, subtitle
from esprobe.report.plots.data import Point, Subject, at_k
from esprobe.report.plots.findings import listed, most_found
from esprobe.report.plots.labels import End, at_ends, room
from esprobe.report.table import DEFAULT_KS
from esprobe.report.words import percent

MARKERS = "osD^vPX*"  # by k


def over_values(subject: Subject) -> Figure | str:
    """pass@k over T and over σ, at k = 1, 8, 64, … and at as many draws as the arms share."""
    data = subject.data
    panels = [m for m in COMPARED if len({a.value for a in data.of(m) if a.value is not None}) > 1]
    if not panels or data.best is None:
        return "needs at least two values of T or of σ"
    arms = data.of(*panels)
    if not subject.solving(arms):
        return "no draw of these arms is correct"
    most = min(max(data.depth(arm) for arm in data.of(panel)) for panel in panels)
    ks = sorted({1, most} | {k for k in DEFAULT_KS if k < most})
    points = [point for arm in arms for k in ks if (point := at_k(subject, arm, k))]
    bars = "bars: 95% intervals, where they are trustworthy"
    notes = [f"scored by {subject.scorer}", bars, *_greedy_note(subject)]
    if any(point.chance is not None for point in points):
        notes.insert(2, "thin dash-dotted: chance at the same k")
    title = "; ".join(_best_value(subject, panel, most) for panel in panels)
    made, axes = style.figure(f"{title}\n{subtitle(subject, arms)}", notes, columns=len(panels))
    style.share_axis(axes[0], max(point.high for point in points))
    for panel, ax in zip(panels, axes, strict=True):
        found = [arm for arm in data.of(panel) if arm.value is not None]
        _value_axis(ax, panel, sorted({arm.value or 0.0 for arm in found}))
        ends = []
        for i, (k, colour) in enumerate(zip(ks, style.colours(panel.name, len(ks)), strict=True)):
            for excluded, alike in _by_truncation(found).items():
                at = [(arm.value or 0.0, point) for arm in alike if (point := at_k(subject, arm, k))]
                look = (colour, MARKERS[i % len(MARKERS)], "--" if excluded else "-")
                ends += _with_bars(ax, at, look, ", ".join((f"pass@{k}", *excluded)))
        for arm in data.of(GREEDY):
            ax.plot([ax.get_xlim()[0]], [arm.at[1].pass_at_k], "D", color="black", ms=6, mec="white", zorder=5, clip_on=False)
        at_ends(ax, [*ends, *ceiling_line(ax, arms)], style.HEIGHT)
    axes[0].set_ylabel("pass@k, mean over problems")
    return made


def _best_value(subject: Subject, method: Method, k: int) -> str:
    """The value of the method that solves most at k."""
    points = {arm.arm_id: point for arm in subject.data.of(method) if (point := at_k(subject, arm, k))}
    return most_found([subject.labels[arm_id] for arm_id in points], list(points.values()))


def _greedy_note(subject: Subject) -> list[str]:
    return [f"◆ {subject.labels[arm.arm_id]}: {percent(arm.at[1].pass_at_k)} by one answer" for arm in subject.data.of(GREEDY)]


def _by_truncation(arms: Sequence[ArmRow]) -> dict[tuple[str, ...], list[ArmRow]]:
    """The arms that one line may join, in order of value, by what excludes tokens in them."""
    found: dict[tuple[str, ...], list[ArmRow]] = {}
    for arm in arms:
        found.setdefault(tuple(truncation(arm.settings)), []).append(arm)
    return found


def _with_bars(axes: Axes, points: Sequence[tuple[float, Point]], look: tuple[str, str, str], label: str) -> list[End]:
    """pass@k at one k over the arms' values, with intervals as bars and chance as a thin line; `look`: colour, marker, line."""
    colour, marker, line = look
    values = [value for value, _ in points]
    means = [at.share for _, at in points]
    joined = line if len(set(values)) == len(values) else "none"  # arms of equal value are no curve
    _bars(axes, values, [at for _, at in points], colour)
    axes.plot(values, means, color=colour, marker=marker, ls=joined, label=label, zorder=3, clip_on=False)
    for chance in sorted({round(at.chance, 9) for _, at in points if at.chance is not None}):
        axes.axhline(chance, color=colour, lw=0.8, ls="-.", zorder=1)
    return [End(values[-1], means[-1], label, colour)] if points else []


def _bars(axes: Axes, places: Sequence[float], points: Sequence[Point], colour: str) -> None:
    """Intervals as bars, where there are any to be trusted."""
    known = [(place, point.band) for place, point in zip(places, points, strict=True) if point.band]
    low, high = [ends[0] for _, ends in known], [ends[1] for _, ends in known]
    axes.vlines([place for place, _ in known], low, high, color=colour, lw=1.0, zorder=2, clip_on=False)


def _value_axis(axes: Axes, method: Method, values: Sequence[float]) -> None:
    """T is linear from 0, σ logarithmic, with the sampled values as ticks."""
    if method is TEMPERATURE:
        axes.set_xlim(0, 1.06 * values[-1])
        axes.set_xlabel("temperature T")
        return
    positive = [value for value in values if value > 0]
    if positive[0] == values[0]:
        axes.set_xscale("log")
        axes.set_xlim(positive[0] / 1.3, positive[-1] * 1.3)
    else:
        axes.set_xscale("symlog", linthresh=positive[0])
        axes.set_xlim(-0.1 * positive[0], positive[-1] * 1.3)
    ticks = _apart(axes, values, 0.05 * len(axes.figure.axes))
    axes.set_xticks(ticks, [f"{value:g}" for value in ticks], rotation=45 if len(ticks) > 4 else 0)
    axes.minorticks_off()
    axes.set_xlabel("σ of the noise (logarithmic)")


def _apart(axes: Axes, values: Sequence[float], least: float) -> list[float]:
    """The largest value and those below it, each at least so far from the one before it, as a share of the axis."""
    place = (axes.transData - axes.transAxes).transform
    kept = [values[-1]]
    for value in reversed(values[:-1]):
        if place((kept[-1], 0))[0] - place((value, 0))[0] >= least:
            kept.append(value)
    return kept[::-1]


def by_kind(subject: Subject) -> Figure | str:
    """pass@1 and pass@k of every arm over the kinds of problems (Countdown: how many numbers), with chance."""
    k = subject.data.k
    arms = [arm for arm in subject.solving(subject.data.of(*SAMPLED)) if subject.data.strata(arm, k)]
    names = list(subject.data.strata(arms[0], k)) if arms else []
    arms = [arm for arm in arms if list(subject.data.strata(arm, k)) == names]
    if not arms:
        return "needs problems of several kinds, and an arm that solves some of them"
    ks = sorted({1, k})
    found = {at: {arm.arm_id: [*map(Point.passed, subject.data.strata(arm, at).values())] for arm in arms} for at in ks}
    wide = {arm.arm_id for arm in banded(subject, arms)}
    notes = [
        f"scored by {subject.scorer}",
        f"bars: 95% intervals of {listed([subject.labels[arm.arm_id] for arm in arms if arm.arm_id in wide])}",
    ]
    if _all_known(found[k][arms[0].arm_id]):
        notes.append("dash-dotted: chance")
    height = room(len(arms) + 1)
    title = f"{_over_kinds(subject, arms, names, found[k])}\n{subtitle(subject, arms)}"
    made, panels = style.figure(title, notes, columns=len(ks), height=height, share_y=False)
    for at, axes in zip(ks, panels, strict=True):
        style.share_axis(axes, max(point.high for each in found[at].values() for point in each))
        ends = []
        for arm, colour in _coloured(subject, arms):
            points = found[at][arm.arm_id]
            shares = [point.share for point in points]
            look = style.look(arm.method, colour)
            axes.plot(range(len(names)), shares, clip_on=False, zorder=3, label=subject.labels[arm.arm_id], **look)
            if arm.arm_id in wide:
                _bars(axes, range(len(names)), points, colour)
            ends.append(End(len(names) - 1, shares[-1], subject.labels[arm.arm_id], colour))
        axes.set_title(f"pass@{at}", fontsize=9)
        axes.set_xlim(-0.25, len(names) - 0.75)
        axes.set_xticks(range(len(names)), [fill(name, 14) for name in names])
        at_ends(axes, [*ends, *_chance_of_kinds(axes, found[at][arms[0].arm_id])], height)
    panels[0].set_ylabel("pass@k, mean over problems")
    return made


def _coloured(subject: Subject, arms: Sequence[ArmRow]) -> list[tuple[ArmRow, str]]:
    colours = style.of_arms(subject.drawn)
    return [(arm, colours[arm.arm_id]) for arm in arms]


def _all_known(points: Sequence[Point]) -> bool:
    """Whether guessing is known of every kind, so that there is a line of chance."""
    return all(point.chance is not None for point in points)


def _chance_of_kinds(axes: Axes, points: Sequence[Point]) -> list[End]:
    if not _all_known(points):
        return []
    shares = [point.chance for point in points if point.chance is not None]
    axes.plot(range(len(shares)), shares, color=style.GREY, lw=1.2, ls="-.", zorder=1)
    return [End(len(shares) - 1, min(shares[-1], axes.get_ylim()[1]), "chance", style.GREY)]


def _over_kinds(subject: Subject, arms: Sequence[ArmRow], names: Sequence[str], found: Mapping[int, Sequence[Point]]) -> str:
    """How far the best arm falls between the kind that it solves best and the one that it solves least."""
    k = subject.data.k
    arm = max(arms, key=lambda arm: fmean(point.share for point in found[arm.arm_id]))
    points = found[arm.arm_id]
    most, least = (pick(range(len(names)), key=lambda i: points[i].share) for pick in (max, min))
    if most == least:
        return f"{subject.labels[arm.arm_id]} at k = {k:,} solves {percent(points[0].share)} of each kind"
    parts = []
    for point, name in ((points[most], names[most]), (points[least], names[least])):
        guessing = "" if point.chance is None else f", guessing {percent(point.chance)}"
        parts.append(f"{percent(point.share, point.band)} on {name}{guessing}")
    return f"{subject.labels[arm.arm_id]} at k = {k:,} solves {parts[0]}; {parts[1]}"
