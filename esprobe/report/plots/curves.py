"""Plots of pass@k: over k for each method, overlaid, best against best; over T and σ.

Knows a subject's data and the style. A function returns a figure, or in a few words why these data make none.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from esprobe.analysis.arms import ArmRow, AtK
from esprobe.arms import truncation
from esprobe.methods import COMPARED, GREEDY, SAMPLED, TEMPERATURE, Method
from esprobe.report.plots import style
from esprobe.report.plots.data import Subject
from esprobe.report.table import DEFAULT_KS
from esprobe.report.words import plural

BANDS = "bands: 95% intervals, as in the report, where they are trustworthy"


def of_method(subject: Subject, method: Method) -> Figure | str:
    """pass@k of every arm of one method."""
    arms = subject.data.of(method, least=2)
    if not arms:
        return f"needs an arm of method {method.name} with at least 2 draws"
    return _curves(subject, f"pass@k by {method.title}", arms, solid=True)


def overlaid(subject: Subject) -> Figure | str:
    """All methods in one plot: temperature solid, perturbation dashed."""
    arms = subject.data.of(*SAMPLED, least=2)
    if len({arm.method for arm in arms}) < 2:
        return "needs arms of two methods with at least 2 draws each"
    return _curves(subject, "pass@k: temperature (solid) and perturbation (dashed)", arms, solid=False)


def best_against_best(subject: Subject) -> Figure | str:
    """The best arm of each method."""
    best = subject.data.best
    if best is None or len(best.arms) < 2 or best.k < 2:
        return "needs a temperature and a perturbation arm with at least 2 draws and problems in common"
    title = f"Best temperature against best perturbation, by pass@{best.k}"
    notes = ["both were chosen on the same problems, which flatters both"]
    notes += [
        f"{subject.labels[arm.arm_id]}: the first of {n} that tie" for arm, n in zip(best.arms, best.tied, strict=True) if n > 1
    ]
    line = describe(subject, f"{len(best.correct):,}", f"{best.depth:,}") + " each"
    curves = {arm.arm_id: subject.data.shared_curve(arm, best) for arm in best.arms}
    return _curves(subject, f"{title}\n{line}", best.arms, solid=False, notes=notes, plain=True, curves=curves)


def _curves(
    subject: Subject,
    title: str,
    arms: Sequence[ArmRow],
    solid: bool,
    notes: Sequence[str] = (),
    plain: bool = False,
    curves: Mapping[int, Sequence[AtK]] | None = None,
) -> Figure:
    curves = curves or {arm.arm_id: subject.data.curve(arm) for arm in arms}
    if "\n" not in title:
        title += f"\n{subtitle(subject, arms)}"
    made, (axes,) = style.figure(title, [f"scored by {subject.scorer}", BANDS, *notes])
    _chance(axes, curves.values())
    by_method: dict[str, list[ArmRow]] = {}
    for arm in arms:
        by_method.setdefault(arm.method, []).append(arm)
    for method, found in by_method.items():
        shades = [style.METHOD[method]] * len(found) if plain else style.colours(method, len(found))
        for arm, colour in zip(found, shades, strict=True):
            points = curves[arm.arm_id]
            ks = [p.k for p in points]
            line = "-" if solid else style.DASH[method]
            marker = style.MARKER[method]
            means = [p.pass_at_k for p in points]
            axes.plot(ks, means, ls=line, marker=marker, color=colour, label=subject.labels[arm.arm_id], clip_on=False, zorder=3)
            known = [band(p) for p in points]
            ends = [ends or (p.pass_at_k, p.pass_at_k) for ends, p in zip(known, points, strict=True)]
            low, high = zip(*ends, strict=True)
            where = [ends is not None for ends in known]
            axes.fill_between(ks, low, high, where=where, color=colour, alpha=0.16 if len(arms) <= 4 else 0.07, lw=0)
    levels(subject, axes, arms)
    style.percent(axes)
    style.draws_axis(axes, max(points[-1].k for points in curves.values()))
    axes.set_ylabel("pass@k, mean over problems")
    style.legend(axes)
    return made


def band(point: AtK) -> tuple[float, float] | None:
    """The ends of the interval; None where there is none, or none to be trusted."""
    found = point.interval
    return (found.low, found.high) if found is not None and found.trustworthy else None


def _chance(axes: Axes, curves: Iterable[Sequence[AtK]]) -> None:
    """What random valid answers score: a line over a grey floor, a band where the arms have different problems."""
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    for points in curves:
        for point in points:
            if point.chance is not None:
                low[point.k] = min(point.chance, low.get(point.k, 1.0))
                high[point.k] = max(point.chance, high.get(point.k, 0.0))
    ks = sorted(low)
    if ks:
        axes.fill_between(ks, [high[k] for k in ks], color=style.LIGHT, lw=0, zorder=0)
        axes.plot(ks, [high[k] for k in ks], color=style.GREY, lw=1.2, ls="-.", label="chance: random valid answers", zorder=1)
        if any(high[k] - low[k] > 1e-9 for k in ks):
            axes.plot(ks, [low[k] for k in ks], color=style.GREY, lw=1.2, ls="-.", zorder=1)


def levels(subject: Subject, axes: Axes, arms: Sequence[ArmRow]) -> None:
    """Greedy decoding of the unchanged model, and the share of problems that can be solved at all."""
    for i, arm in enumerate(subject.data.of(GREEDY)):
        share = arm.at[1].pass_at_k
        name = f"{subject.labels[arm.arm_id]}: {100 * share:.1f}%"
        axes.axhline(
            share, color=style.METHOD[GREEDY.name], lw=1.1, ls=(0, (1, 1.4 + 2 * i)), label=name, zorder=2, clip_on=False
        )
    for i, (share, name) in enumerate(ceilings(arms)):
        axes.axhline(share, color=style.GREY, lw=0.8, label=None if i else name, zorder=1, clip_on=False)


def ceilings(arms: Sequence[ArmRow]) -> list[tuple[float, str]]:
    """(share, what it is) of the problems that can be solved at all, lowest first; a bound where something is not known."""
    known = [arm for arm in arms if arm.unknown < arm.problems]
    shares = sorted({(arm.solvable + arm.unknown) / arm.problems for arm in known})
    if not shares:
        return []
    bound = any(arm.unknown for arm in known)
    name = f"at most {100 * shares[-1]:.1f}% solvable (bound)" if bound else f"ceiling: {100 * shares[-1]:.1f}% solvable"
    if len(shares) > 1:
        name = f"{'bounds' if bound else 'ceilings'}: {100 * shares[0]:.1f}% to {100 * shares[-1]:.1f}%"
    return [(share, name) for share in shares]


def over_values(subject: Subject) -> Figure | str:
    """pass@k over T and over σ, at k = 1, 8, 64, … and at as many draws as the arms share."""
    data = subject.data
    panels = [m for m in COMPARED if len({a.value for a in data.of(m) if a.value is not None}) > 1]
    if not panels or data.best is None:
        return "needs at least two values of T or of σ"
    arms = data.of(*panels)
    most = min(max(data.depth(arm) for arm in data.of(panel)) for panel in panels)
    ks = sorted({1, most} | {k for k in DEFAULT_KS if k < most})
    title = f"pass@k over {' and over '.join(p.symbol for p in panels)}"
    bars = "bars: 95% intervals, as in the report, where they are trustworthy"
    notes = [f"scored by {subject.scorer}", bars, "thin dash-dotted: chance at the same k"]
    made, axes = style.figure(f"{title}\n{subtitle(subject, arms)}", notes, columns=len(panels))
    for panel, ax in zip(panels, axes, strict=True):
        found = [arm for arm in data.of(panel) if arm.value is not None]
        for k, colour, marker in zip(ks, style.colours(TEMPERATURE.name, len(ks)), "osD^vPX*", strict=False):
            for excluded, alike in _by_truncation(found).items():
                points = [(arm.value or 0.0, point) for arm in alike if (point := data.point(arm, k))]
                _with_bars(ax, points, colour, marker, ", ".join((f"pass@{k}", *excluded)), "--" if excluded else "-")
        _value_axis(ax, panel, sorted({arm.value or 0.0 for arm in found}))
    for ax in axes:
        levels(subject, ax, arms)
    style.percent(axes[0])
    axes[0].set_ylabel("pass@k, mean over problems")
    style.legend(axes[0], beside=axes[-1])
    return made


def _by_truncation(arms: Sequence[ArmRow]) -> dict[tuple[str, ...], list[ArmRow]]:
    """The arms that one line may join, in order of value, by what excludes tokens in them."""
    found: dict[tuple[str, ...], list[ArmRow]] = {}
    for arm in arms:
        found.setdefault(tuple(truncation(arm.settings)), []).append(arm)
    return found


def _with_bars(axes: Axes, points: Sequence[tuple[float, AtK]], colour: str, marker: str, label: str, line: str) -> None:
    """pass@k at one k over the arms' values, with intervals as bars and chance as a thin line."""
    values = [value for value, _ in points]
    means = [at.pass_at_k for _, at in points]
    ends = [band(at) or (at.pass_at_k, at.pass_at_k) for _, at in points]
    errors = [
        [mean - low for mean, (low, _) in zip(means, ends, strict=True)],
        [high - mean for mean, (_, high) in zip(means, ends, strict=True)],
    ]
    joined = line if len(set(values)) == len(values) else "none"  # arms of equal value are no curve
    look: dict[str, Any] = {"color": colour, "marker": marker, "ls": joined, "capsize": 2, "elinewidth": 0.8, "zorder": 3}
    bar = axes.errorbar(values, means, errors, label=label, **look)
    for artist in (bar[0], *bar[1], *bar[2]):
        artist.set_clip_on(False)
    for chance in sorted({round(at.chance, 9) for _, at in points if at.chance is not None}):
        axes.axhline(chance, color=colour, lw=0.8, ls="-.", zorder=1)


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
    step = 1 + len(values) // 8
    axes.set_xticks(values[::step], [f"{value:g}" for value in values[::step]], rotation=45 if len(values) > 4 else 0)
    axes.minorticks_off()
    axes.set_xlabel("σ of the noise (logarithmic)")


def subtitle(subject: Subject, arms: Sequence[ArmRow]) -> str:
    """Model, how many problems and draws; ranges where the arms differ."""
    problems = sorted({arm.problems for arm in arms})
    depths = sorted({subject.data.depth(arm) for arm in arms})
    return describe(subject, _range(problems), _range(depths))


def describe(subject: Subject, problems: str, draws: str) -> str:
    """The second line of a title."""
    return f"{style.short(subject.model)}, {plural(problems, 'problem')}, n = {plural(draws, 'draw')}"


def _range(numbers: Sequence[int]) -> str:
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
