"""Plots of pass@k over k: the arms of each method, all of them overlaid, best against best.

Knows a subject's data and the style. A function returns a figure, or in a few words why these data make none.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from esprobe.analysis.arms import ArmRow
from esprobe.analysis.plotted import BestArms
from esprobe.methods import GREEDY, SAMPLED, Method
from esprobe.report.plots import style
from esprobe.report.plots.data import Point, Subject, at_k, curve
from esprobe.report.plots.findings import difference_found, listed, most_found
from esprobe.report.plots.labels import SIZE, End, at_ends, room
from esprobe.report.words import plural

MANY = 12  # lines from which all but the best are thin
Curves = Mapping[int, Sequence[Point]]  # by arm


def of_method(subject: Subject, method: Method) -> Figure | str:
    """pass@k of every arm of one method that solves anything."""
    arms = subject.data.of(method, least=2)
    if not arms:
        return f"needs an arm of method {method.name} with at least 2 draws"
    drawn = subject.solving(arms)
    if not drawn:
        return f"no draw of the arms of method {method.name} is correct"
    return _figure(subject, _most(subject, drawn), drawn, _curves_of(subject, drawn), unsolving(subject, arms))


def overlaid(subject: Subject) -> Figure | str:
    """All methods in one plot: temperature solid, perturbation dashed."""
    arms = subject.data.of(*SAMPLED, least=2)
    if len({arm.method for arm in arms}) < 2:
        return "needs arms of two methods with at least 2 draws each"
    drawn = subject.solving(arms)
    if not drawn:
        return "no draw of these arms is correct"
    notes = ["solid: temperature, dashed: perturbation", *unsolving(subject, arms)]
    return _figure(subject, _between(subject) or _most(subject, drawn), drawn, _curves_of(subject, drawn), notes)


def best_against_best(subject: Subject) -> Figure | str:
    """The best arm of each method."""
    best = best_pair(subject)
    if isinstance(best, str):
        return best
    line = describe(subject, f"{len(best.correct):,}", f"{best.depth:,}") + " each"
    curves = {arm.arm_id: [*map(Point.passed, subject.data.shared_curve(arm, best))] for arm in best.arms}
    return _figure(subject, f"{_between(subject)}\n{line}", best.arms, curves, chosen_notes(subject))


def best_pair(subject: Subject) -> BestArms | str:
    """The best temperature and the best perturbation arm; or why there is nothing to see of them."""
    best = subject.data.best
    if best is None or len(best.arms) < 2 or best.k < 2:
        return "needs a temperature and a perturbation arm with at least 2 draws and problems in common"
    if not any(any(right) for right in best.correct.values()):
        return "no draw of either arm is correct"
    return best


def chosen_notes(subject: Subject) -> list[str]:
    """How the best arms were chosen, and what that does to them; nothing of arms that were the only ones."""
    best = subject.data.best
    if best is None:
        return []
    names = [subject.labels[arm.arm_id] for arm in best.arms]
    chosen = [(name, of) for name, of in zip(names, best.candidates, strict=True) if of > 1]
    ties = [f"{name}: the first of {n} that tie" for name, n in zip(names, best.tied, strict=True) if n > 1]
    if len(chosen) == 2:
        return [f"best by pass@{best.k}; both were chosen on these problems, which flatters both", *ties]
    return [f"{name}: best of {of} by pass@{best.k}, chosen on these problems, which flatters it" for name, of in chosen] + ties


def _between(subject: Subject) -> str:
    """What the best arms differ by at as many draws as they share; empty without two of them."""
    best = subject.data.best
    if best is None or not best.differences:
        return ""
    first, second = (subject.labels[arm.arm_id] for arm in best.arms)
    return difference_found(first, second, best.differences[-1])


def _most(subject: Subject, arms: Sequence[ArmRow]) -> str:
    """The best of the arms at the largest k that all of them have."""
    k = min(subject.data.depth(arm) for arm in arms)
    points = [point for arm in arms if (point := at_k(subject, arm, k))]
    return most_found([subject.labels[arm.arm_id] for arm in arms], points)


def unsolving(subject: Subject, arms: Sequence[ArmRow]) -> list[str]:
    """Which of the arms are not drawn, since no draw of them is correct."""
    names = [subject.labels[arm.arm_id] for arm in arms if not arm.correct]
    return [f"not drawn, without a correct draw: {listed(names, most=8)}"] if names else []


def _curves_of(subject: Subject, arms: Sequence[ArmRow]) -> Curves:
    return {arm.arm_id: curve(subject, arm) for arm in arms}


def banded(subject: Subject, arms: Sequence[ArmRow]) -> list[ArmRow]:
    """The arms whose bands can be read: both of two; of more the best of each method, or the best two of one."""
    if len(arms) <= 2:
        return list(arms)
    best = subject.data.best
    chosen = [arm for arm in arms if best and arm.arm_id in {one.arm_id for one in best.arms}]
    if chosen and len({arm.method for arm in arms}) > 1:
        return chosen
    k = min(subject.data.depth(arm) for arm in arms)
    shares = {arm.arm_id: point.share for arm in arms if (point := at_k(subject, arm, k))}
    return sorted(arms, key=lambda arm: -shares.get(arm.arm_id, 0.0))[:2]


def _figure(subject: Subject, title: str, arms: Sequence[ArmRow], curves: Curves, notes: Sequence[str]) -> Figure:
    if "\n" not in title:
        title += f"\n{subtitle(subject, arms)}"
    wide = banded(subject, arms)
    of = "" if len(wide) == len(arms) else f" of {listed([subject.labels[arm.arm_id] for arm in wide])}"
    about = [f"scored by {subject.scorer}", f"bands: 95% intervals{of}, where they are trustworthy"]
    height = room(len(arms) + 3)
    made, (axes,) = style.figure(title, [*about, *above_the_axis(arms, curves.values()), *notes], height=height)
    style.share_axis(axes, highest(curves.values()))
    style.draws_axis(axes, max(points[-1].k for points in curves.values()))
    ends = draw_curves(subject, axes, arms, curves, wide)
    greedy_marks(subject, axes, list(curves.values()))
    at_ends(axes, [*ends, *chance_line(axes, curves.values()), *ceiling_line(axes, arms)], height)
    axes.set_ylabel("pass@k, mean over problems")
    return made


def highest(curves: Iterable[Sequence[Point]]) -> float:
    """The highest share that must be visible, with its interval."""
    return max(point.high for points in curves for point in points)


def draw_curves(subject: Subject, axes: Axes, arms: Sequence[ArmRow], curves: Curves, wide: Sequence[ArmRow]) -> list[End]:
    """One line for each arm, with bands of the arms in `wide`; returns the lines' ends."""
    colours, ends = style.of_arms(subject.drawn), []
    for arm in arms:
        look = style.look(arm.method, colours[arm.arm_id])
        if len(arms) > MANY and arm not in wide:
            look |= {"lw": 0.8, "marker": ""}
        ends.append(draw_curve(axes, curves[arm.arm_id], subject.labels[arm.arm_id], look, banded=arm in wide))
    return ends


def draw_curve(axes: Axes, points: Sequence[Point], name: str, look: Mapping[str, Any], *, banded: bool = False) -> End:
    """One line, perhaps with the band of its intervals that are to be trusted; returns its end."""
    ks, shares, colour = [point.k for point in points], [point.share for point in points], look["color"]
    axes.plot(ks, shares, label=name, clip_on=False, zorder=3, **look)
    if banded:
        low, high = zip(*(point.band or (point.share, point.share) for point in points), strict=True)
        axes.fill_between(ks, low, high, where=[p.band is not None for p in points], color=colour, alpha=0.15, lw=0, zorder=1)
    return End(ks[-1], shares[-1], name, colour)


def chance_line(axes: Axes, curves: Iterable[Sequence[Point]]) -> list[End]:
    """What random valid answers score: a line over a grey floor, a band where the arms have different problems; its end."""
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    for points in curves:
        for point in points:
            if point.chance is not None:
                low[point.k] = min(point.chance, low.get(point.k, 1.0))
                high[point.k] = max(point.chance, high.get(point.k, 0.0))
    ks = sorted(low)
    if not ks:
        return []
    axes.fill_between(ks, [high[k] for k in ks], color=style.LIGHT, lw=0, zorder=0)
    axes.plot(ks, [high[k] for k in ks], color=style.GREY, lw=1.2, ls="-.", label="chance: random valid answers", zorder=1)
    if any(high[k] - low[k] > 1e-9 for k in ks):
        axes.plot(ks, [low[k] for k in ks], color=style.GREY, lw=1.2, ls="-.", zorder=1)
    return [End(*_last_seen([(k, high[k]) for k in ks], axes.get_ylim()[1]), "chance: random valid answers", style.GREY)]


def _last_seen(points: Sequence[tuple[float, float]], top: float) -> tuple[float, float]:
    """Where a rising line over a logarithmic k ends, or leaves the axes at their top."""
    for (before, low), (after, high) in pairwise(points):
        if low <= top < high:
            return before * (after / before) ** ((top - low) / (high - low)), top
    return points[-1][0], min(points[-1][1], top)


def greedy_marks(subject: Subject, axes: Axes, curves: Sequence[Sequence[Point]], width: float = 0.22) -> None:
    """Greedy decoding, one answer and no more: a diamond at k = 1, its name above all that is drawn near it.

    `width`: what of the axes, on their logarithmic k, the name is as wide as.
    """
    wide = max(2.0, max(points[-1].k for points in curves) ** width)
    found = subject.data.of(GREEDY)
    near = [point.high for points in curves for point in points if point.k <= wide]
    top = axes.get_ylim()[1]
    for i, arm in enumerate(found):
        share = arm.at[1].pass_at_k
        axes.plot([1], [share], "D", color="black", ms=6, mec="white", zorder=5, clip_on=False, ls="none")
        place = max([share, *near]) + (0.045 + 0.05 * (len(found) - 1 - i)) * top
        axes.annotate(
            f"{subject.labels[arm.arm_id]}: {100 * share:.1f}%",
            xy=(1, share),
            xytext=(6, min(place, 1.02 * top)),
            textcoords=("offset points", "data"),
            fontsize=SIZE,
            va="center",
            zorder=6,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "black", "lw": 0.6, "shrinkB": 4, "relpos": (0, 0.5)},
        )


def ceiling_line(axes: Axes, arms: Sequence[ArmRow]) -> list[End]:
    """The share of problems that can be solved at all, where the axes reach so high; its end."""
    ends = []
    found = ceilings(arms)
    for i, (share, name) in enumerate(found):
        if share <= axes.get_ylim()[1]:
            axes.axhline(share, color=style.GREY, lw=0.8, zorder=1, clip_on=False)
            if i == len(found) - 1:
                ends.append(End(axes.get_xlim()[1], share, name, style.GREY))
    return ends


def above_the_axis(arms: Sequence[ArmRow], curves: Iterable[Sequence[Point]]) -> list[str]:
    """The ceiling in a note, where the axes end below it."""
    return [name for _, name in ceilings(arms)[-1:]] if highest(curves) <= style.FLAT else []


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
