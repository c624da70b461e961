"""Plots of problems and draws: coverage and depth, overlap, the strip of problems, correct counts, accuracy of each draw.

Knows a subject's data and the style. A function returns a figure, or in a few words why these data make none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from esprobe.analysis.arms import ArmRow
from esprobe.analysis.plotted import BestArms
from esprobe.methods import PERTURBATION, SAMPLED
from esprobe.report.plots import style
from esprobe.report.plots.curves import ceilings, chosen_notes, describe, subtitle, unsolving
from esprobe.report.plots.data import Subject, count_bins, count_shares, coverage_and_depth
from esprobe.report.plots.findings import leaders, listed
from esprobe.report.plots.labels import USED, End, at_points
from esprobe.report.words import agree, counted, p_words, percent

MANY = 4000  # points from which an SVG has them as one picture
STRIP = 200  # problems that can still be told apart side by side
MANY_NAMES = 16  # points that have room for their names
WIDTH = 7.2  # inches of axes without anything to their right


def _equal_arms(subject: Subject) -> list[ArmRow]:
    """The arms that have the draws at which all are compared."""
    return [arm for arm in subject.data.arms if arm.arm_id in subject.data.equal] if subject.data.k > 1 else []


def _at_equal_draws(subject: Subject, arms: Sequence[ArmRow]) -> str:
    line = subtitle(subject, arms).rpartition(", n = ")[0]
    return f"{line}, n = {counted(subject.data.k, 'draw')}, the first of each"


def _left_out(subject: Subject) -> list[str]:
    """Which arms have too few draws to be compared with the others."""
    short = [subject.labels[arm.arm_id] for arm in subject.data.of(*SAMPLED) if arm.arm_id not in subject.data.equal]
    return [f"left out, with fewer draws: {', '.join(short)}"] if short else []


def coverage_against_depth(subject: Subject) -> Figure | str:
    """Each arm that solves anything as a point: how many problems it solves at all, and how often it solves those."""
    arms = subject.solving(_equal_arms(subject))
    if not arms:
        return "needs an arm that solves something with at least 2 draws"
    at = {arm.arm_id: coverage_and_depth(subject.data.equal[arm.arm_id]) for arm in arms}
    notes = [
        f"scored by {subject.scorer}",
        *_left_out(subject),
        *unsolving(subject, _equal_arms(subject)),
        "coverage: problems with a correct draw",
        "depth: mean share of correct draws on those",
    ]
    named = len(arms) <= MANY_NAMES
    title = f"{_widest_and_deepest(subject, arms, at)}\n{_at_equal_draws(subject, arms)}"
    made, (axes,) = style.figure(title, notes)
    colours = style.of_arms(subject.drawn)
    lines = []
    for method in (method.name for method in SAMPLED):
        found = [arm for arm in arms if arm.method == method]
        if named and len({arm.value for arm in found}) == len(found) > 1:  # of many arms a line would be a tangle
            lines.append([at[arm.arm_id] for arm in found])
            axes.plot(*zip(*lines[-1], strict=True), color=style.METHOD[method], lw=0.8, alpha=0.5, clip_on=False)
        for arm in found:
            look: dict[str, Any] = {"ms": 8, "mec": "white", "color": colours[arm.arm_id], "label": subject.labels[arm.arm_id]}
            axes.plot(*at[arm.arm_id], style.MARKER[method], clip_on=False, zorder=3, **look)
    for share, name in ceilings(arms)[-1:]:
        axes.axvline(share, color=style.GREY, lw=0.8, label=name, clip_on=False)
    style.percent(axes, "x")
    style.percent(axes, top=style.headroom([depth for _, depth in at.values()]))
    axes.set_xlabel("coverage: share of problems solved at least once")
    axes.set_ylabel("depth: mean share of correct draws\non the problems solved")
    if named:
        ends = [End(*at[arm.arm_id], subject.labels[arm.arm_id], colours[arm.arm_id]) for arm in arms]
        at_points(axes, ends, (WIDTH * 72, style.HEIGHT * 72 * USED), lines)
    else:
        style.legend(axes)
    return made


def _widest_and_deepest(subject: Subject, arms: Sequence[ArmRow], at: Mapping[int, tuple[float, float]]) -> str:
    """Which arm solves most problems, and which solves its problems most often."""
    names = [subject.labels[arm.arm_id] for arm in arms]
    shares, depths = zip(*(at[arm.arm_id] for arm in arms), strict=True)
    often = f"by {percent(max(depths))} of"
    if len(arms) == 1:
        return f"{names[0]} solves {percent(shares[0])} of the problems, and those {often} its draws"
    widest, deepest = leaders(names, shares), leaders(names, depths)
    words = f"{listed(widest)} {agree(len(widest), 'solves', 'solve')} most problems, {percent(max(shares))}"
    if widest == deepest and len(widest) == 1:
        return f"{words}, and those most often, {often} its draws"
    own = agree(len(deepest), "solves its own", "solve their own")
    return f"{words}; {listed(deepest)} {own} most often, {often} {agree(len(deepest), 'its', 'their')} draws"


def solve_overlap(subject: Subject) -> Figure | str:
    """One bar of all problems: solved by both best arms, by one of them, by neither."""
    best = subject.data.best
    found = best and best.overlap()
    if not best or not found:
        return "needs a temperature and a perturbation arm with problems in common"
    if found.neither == len(best.correct):
        return "no draw of either arm is correct"
    first, second = (subject.labels[arm.arm_id] for arm in best.arms)
    total = len(best.correct)
    title = f"{first} alone solves {counted(found.only_first, 'problem')}, {second} alone {found.only_second:,}"
    title += f", both {found.both:,}" + (f" (McNemar {p_words(found.p)})" if found.p is not None else "")
    line = describe(subject, f"{total:,}", f"{best.depth:,}") + ", the first of each"
    notes = [f"scored by {subject.scorer}", *chosen_notes(subject)]
    if best.impossible:
        notes.append(f"neither: {best.impossible} of them proven to have no solution")
    made, (axes,) = style.figure(f"{title}\n{line}", notes, height=2.6)
    left = 0.0
    parts = [
        ("both", found.both, style.BOTH, "white"),
        (f"only {first}", found.only_first, _colour(subject, best.arms[0]), "white"),
        (f"only {second}", found.only_second, _colour(subject, best.arms[1]), "white"),
        ("neither", found.neither, "#cccccc", "black"),
    ]
    for name, count, colour, ink in parts:
        share = count / total
        label = f"{name}: {count:,} ({percent(share)})"
        axes.barh([0], [share], left=left, color=colour, edgecolor="white", label=label, height=0.6)
        if share >= 0.04:
            axes.text(left + share / 2, 0, f"{count:,}", ha="center", va="center", color=ink, fontsize=10)
        left += share
    axes.set_ylim(-0.5, 0.5)
    axes.set_yticks([])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    style.percent(axes, "x")
    axes.set_xlabel("share of problems")
    style.legend(axes)
    return made


def problem_strip(subject: Subject) -> Figure | str:
    """Each problem's solve rate in the best arms, sorted by the first; of many problems one arm against the other."""
    best = subject.data.best
    if best is None:
        return "needs a temperature or a perturbation arm"
    rows = sorted(best.correct.values(), reverse=True)
    if not any(map(any, rows)):
        return "no draw of these arms is correct"
    names = [subject.labels[arm.arm_id] for arm in best.arms]
    notes = [f"scored by {subject.scorer}", *chosen_notes(subject)]
    if best.impossible:
        notes.append(f"{counted(best.impossible, 'problem')} proven to have no solution")
    line = f"{describe(subject, f'{len(rows):,}', f'{best.depth:,}')}, the first of each"
    against = len(names) > 1 and len(rows) > STRIP
    if against:
        notes.append("area of a dot: how many problems; above the diagonal the second arm is better")
    made, (axes,) = style.figure(f"{_problems_found(rows, names, best.depth)}\n{line}", notes)
    (_one_against_the_other if against else _strip)(subject, axes, best, rows)
    return made


def _problems_found(rows: Sequence[tuple[int, ...]], names: Sequence[str], depth: int) -> str:
    """On how many problems either arm has more correct draws; of one arm, on how many it has any."""
    if len(names) < 2:
        solved = sum(row[0] > 0 for row in rows)
        return f"{names[0]} solves {solved:,} of {counted(len(rows), 'problem')} within {counted(depth, 'draw')}"
    more, less = sum(a > b for a, b in rows), sum(a < b for a, b in rows)
    equal = len(rows) - more - less
    return f"{names[0]} has more correct draws on {counted(more, 'problem')}, {names[1]} on {less:,}, equally many on {equal:,}"


def _strip(subject: Subject, axes: Axes, best: BestArms, rows: Sequence[tuple[int, ...]]) -> None:
    places, names = range(1, len(rows) + 1), [subject.labels[arm.arm_id] for arm in best.arms]
    if len(names) > 1:
        low, high = ([pick(row) / best.depth for row in rows] for pick in (min, max))
        axes.vlines(places, low, high, color="#c8c8c8", lw=min(1.0, 120 / len(rows)), zorder=1)
    size = 26 if len(rows) <= STRIP else 8
    for i, arm in enumerate(best.arms):
        axes.scatter(
            places,
            [row[i] / best.depth for row in rows],
            s=size if i == 0 else 0.7 * size,
            marker=style.MARKER[arm.method],
            color=_colour(subject, arm),
            label=f"{names[i]}: {sum(row[i] > 0 for row in rows):,} solved",
            clip_on=False,
            zorder=3 + i,
            alpha=0.85,
            linewidths=0,
            rasterized=len(rows) > MANY,
        )
    style.percent(axes, top=style.headroom([max(row) / best.depth for row in rows]))
    axes.set_xlim(0.5, len(rows) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(False, axis="x")
    axes.set_xlabel(f"problems, sorted by their solve rate at {names[0]}")
    axes.set_ylabel("share of correct draws")
    style.legend(axes)


def _one_against_the_other(subject: Subject, axes: Axes, best: BestArms, rows: Sequence[tuple[int, ...]]) -> None:
    """Solve rates of the second arm over those of the first, problems of equal rates as one dot."""
    alike = Counter(rows)
    top = style.headroom([max(row) / best.depth for row in rows])
    areas = [900 * count / len(rows) + 4 for count in alike.values()]
    xs, ys = ([row[i] / best.depth for row in alike] for i in (0, 1))
    colours = [_colour(subject, best.arms[0 if a >= b else 1]) if a != b else style.GREY for a, b in alike]
    axes.scatter(xs, ys, s=areas, c=colours, alpha=0.6, lw=0, clip_on=False, zorder=3, rasterized=len(alike) > MANY)
    axes.plot([0, top], [0, top], color=style.GREY, lw=0.8, zorder=1)
    style.percent(axes, top=top)
    style.percent(axes, "x", top=top)
    for axis, arm in ((axes.set_xlabel, best.arms[0]), (axes.set_ylabel, best.arms[1])):
        axis(f"share of correct draws, {subject.labels[arm.arm_id]}", color=_colour(subject, arm))


def correct_counts(subject: Subject) -> Figure | str:
    """Each arm as a bar of all its problems, cut by how many of their draws are correct."""
    arms = subject.solving(_equal_arms(subject))
    if not arms:
        return "needs an arm that solves something with at least 2 draws"
    most = subject.data.k
    bins = count_bins(most)
    notes = [f"scored by {subject.scorer}", *_left_out(subject), *unsolving(subject, _equal_arms(subject))]
    title = f"{_fewest_unsolved(subject, arms)}\n{_at_equal_draws(subject, arms)}"
    made, (axes,) = style.figure(title, notes, height=max(2.6, min(14.0, 1.6 + 0.3 * len(arms))))
    shades = ["#dddddd", *style.amounts(len(bins) - 1)]
    lefts = [0.0] * len(arms)
    for i, (low, high) in enumerate(bins):
        shares = [count_shares(subject.data.equal[arm.arm_id], bins)[i] for arm in arms]
        name = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        name = f"all {most:,}" if low == most else f"{name} of {most:,}"
        axes.barh(range(len(arms)), shares, left=lefts, color=shades[i], edgecolor="white", lw=0.6, label=name, height=0.74)
        lefts = [left + share for left, share in zip(lefts, shares, strict=True)]
    axes.set_yticks(range(len(arms)), [subject.labels[arm.arm_id] for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.grid(False, axis="y")
    style.percent(axes, "x")
    axes.set_xlabel("share of problems")
    style.legend(axes, title="correct draws")
    return made


def _fewest_unsolved(subject: Subject, arms: Sequence[ArmRow]) -> str:
    """Which arms solve most problems, by the share that is left; of a single arm that share."""
    names = [subject.labels[arm.arm_id] for arm in arms]
    solved = [coverage_and_depth(subject.data.equal[arm.arm_id])[0] for arm in arms]
    left = percent(1 - max(solved))
    if len(arms) == 1:
        return f"{names[0]} leaves {left} of the problems unsolved"
    first = leaders(names, solved)
    return f"{listed(first)} {agree(len(first), 'leaves', 'leave')} fewest problems unsolved, {left}"


def accuracy_of_draws(subject: Subject) -> Figure | str:
    """Each perturbed model as a point: its accuracy over all problems, compared with that of the unchanged model."""
    arms = [arm for arm in subject.solving(subject.data.of(PERTURBATION)) if subject.data.accuracies[arm.arm_id]]
    if not arms:
        return "needs a perturbation arm that solves something with draws that met every problem"
    base = {arm.arm_id: subject.data.found.greedy_share(arm) for arm in arms}
    title = f"{_above_base(subject, arms, base)}\n{subtitle(subject, arms)}"
    notes = [
        f"scored by {subject.scorer}",
        "a point is one draw over all problems, a bar their mean; sideways spread has no meaning",
        *unsolving(subject, subject.data.of(PERTURBATION)),
    ]
    known = sorted({share for share in base.values() if share is not None})
    if known:
        notes.append("above base: on these problems, by luck or by quality; report --compare says how much is luck")
    made, (axes,) = style.figure(title, notes)
    many = sum(len(subject.data.accuracies[arm.arm_id]) for arm in arms) > MANY
    for i, (arm, colour) in enumerate(zip(arms, [_colour(subject, arm) for arm in arms], strict=True)):
        shares, unchanged = subject.data.accuracies[arm.arm_id], base[arm.arm_id]
        spread = Random(i)
        xs = [i + 0.32 * (2 * spread.random() - 1) if len(shares) > 1 else i for _ in shares]
        name = subject.labels[arm.arm_id]
        if unchanged is not None:
            name += f": {100 * sum(share > unchanged for share in shares) / len(shares):.0f}% above base"
            axes.hlines(unchanged, i - 0.5, i + 0.5, color="black", lw=1.2, ls=":", zorder=5, clip_on=False)
        axes.scatter(xs, shares, s=14, color=colour, alpha=0.55, lw=0, label=name, clip_on=False, zorder=3, rasterized=many)
        mean = sum(shares) / len(shares)
        axes.hlines(mean, i - 0.4, i + 0.4, color=colour, lw=2, zorder=4, clip_on=False)
    if known:
        said = " to ".join(f"{100 * share:.1f}%" for share in sorted({known[0], known[-1]}))
        axes.plot([], [], color="black", lw=1.2, ls=":", label=f"base, greedy: {said}")
    style.percent(axes, top=style.headroom([*known, *(share for arm in arms for share in subject.data.accuracies[arm.arm_id])]))
    axes.set_xlim(-0.6, len(arms) - 0.4)
    _name_places(axes, [subject.labels[arm.arm_id] for arm in arms])
    axes.grid(False, axis="x")
    axes.set_ylabel("share of problems solved, greedily")
    style.legend(axes)
    return made


def _name_places(axes: Axes, names: Sequence[str]) -> None:
    """One name below each place; slanted where they are many or long."""
    axes.set_xticks(range(len(names)), names)
    if len(names) > 8 or any(len(name) > 12 for name in names):
        axes.tick_params(axis="x", rotation=30)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")


def _above_base(subject: Subject, arms: Sequence[ArmRow], base: Mapping[int, float | None]) -> str:
    """How many models of the arm that has most of them solve more than the unchanged model, and how good the best model is."""
    found = {arm.arm_id: subject.data.accuracies[arm.arm_id] for arm in arms}
    best = max(arms, key=lambda arm: max(found[arm.arm_id]))
    words = f"the best perturbed model solves {percent(max(found[best.arm_id]))} ({subject.labels[best.arm_id]})"
    known = [arm for arm in arms if base[arm.arm_id] is not None]
    if not known:
        return words[0].upper() + words[1:]

    def above(arm: ArmRow) -> float:
        return sum(share > (base[arm.arm_id] or 0.0) for share in found[arm.arm_id]) / len(found[arm.arm_id])

    most = max(known, key=above)
    name, unchanged = subject.labels[most.arm_id], percent(base[most.arm_id] or 0.0)
    return f"{name}: {100 * above(most):.0f}% of its models solve more than the unchanged one, {unchanged}; {words}"


def _colour(subject: Subject, arm: ArmRow) -> str:
    """The arm's colour in all plots; one that solves nothing has none of its own."""
    return style.of_arms(subject.drawn).get(arm.arm_id, style.METHOD[arm.method])
