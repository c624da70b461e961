"""Plots of problems and draws: coverage and depth, overlap, the strip of problems, correct counts, accuracy of each draw.

Knows a subject's data and the style. A function returns a figure, or in a few words why these data make none.
"""

from collections.abc import Sequence
from random import Random

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from esprobe.analysis.arms import ArmRow
from esprobe.methods import PERTURBATION, SAMPLED, TEMPERATURE
from esprobe.report.plots import style
from esprobe.report.plots.curves import ceilings, describe, subtitle
from esprobe.report.plots.data import Subject, count_bins, count_shares, coverage_and_depth
from esprobe.report.words import agree, counted

MANY = 4000  # points from which an SVG has them as one picture


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
    """Each arm as a point: how many problems it solves at all, and how often it solves those."""
    arms = _equal_arms(subject)
    if not arms:
        return "needs an arm with at least 2 draws"
    title = f"Coverage against depth\n{_at_equal_draws(subject, arms)}"
    notes = [
        f"scored by {subject.scorer}",
        *_left_out(subject),
        "coverage: problems with a correct draw",
        "depth: mean share of correct draws on those",
    ]
    made, (axes,) = style.figure(title, notes)
    for method in (method.name for method in SAMPLED):
        found = [arm for arm in arms if arm.method == method]
        points = [coverage_and_depth(subject.data.equal[arm.arm_id]) for arm in found]
        if len({arm.value for arm in found}) == len(found):
            xs, ys = [x for x, _ in points], [y for _, y in points]
            axes.plot(xs, ys, color=style.METHOD[method], lw=0.8, alpha=0.5, clip_on=False)
        for arm, colour, point in zip(found, style.colours(method, len(found)), points, strict=True):
            name = subject.labels[arm.arm_id]
            axes.plot(*point, style.MARKER[method], ms=8, mec="white", color=colour, label=name, clip_on=False, zorder=3)
    for share, name in ceilings(arms)[-1:]:
        axes.axvline(share, color=style.GREY, lw=0.8, label=name, clip_on=False)
    style.percent(axes, "x")
    style.percent(axes, top=style.headroom([coverage_and_depth(subject.data.equal[arm.arm_id])[1] for arm in arms]))
    axes.set_xlabel("coverage: share of problems solved at least once")
    axes.set_ylabel("depth: mean share of correct draws\non the problems solved")
    style.legend(axes)
    return made


def solve_overlap(subject: Subject) -> Figure | str:
    """One bar of all problems: solved by both best arms, by one of them, by neither."""
    best = subject.data.best
    found = best and best.overlap()
    if not best or not found:
        return "needs a temperature and a perturbation arm with problems in common"
    first, second = (subject.labels[arm.arm_id] for arm in best.arms)
    total = len(best.correct)
    title = "Problems solved by the best temperature and by the best perturbation"
    line = describe(subject, f"{total:,}", f"{best.depth:,}") + ", the first of each"
    notes = [f"scored by {subject.scorer}", "both arms were chosen on these problems"]
    if best.impossible:
        notes.append(f"neither: {best.impossible} of them proven to have no solution")
    made, (axes,) = style.figure(f"{title}\n{line}", notes, height=2.6)
    left = 0
    parts = [
        ("both", found.both, style.BOTH, "white"),
        (f"only {first}", found.only_first, style.METHOD[TEMPERATURE.name], "white"),
        (f"only {second}", found.only_second, style.METHOD[PERTURBATION.name], "white"),
        ("neither", found.neither, "#cccccc", "black"),
    ]
    for name, count, colour, ink in parts:
        axes.barh([0], [count], left=left, color=colour, edgecolor="white", label=f"{name}: {count:,}", height=0.6)
        if count >= 0.04 * total:
            axes.text(left + count / 2, 0, f"{count:,}", ha="center", va="center", color=ink, fontsize=10)
        left += count
    axes.set_xlim(0, total)
    axes.set_ylim(-0.5, 0.5)
    axes.set_yticks([])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("problems")
    style.legend(axes)
    return made


def problem_strip(subject: Subject) -> Figure | str:
    """Each problem's solve rate in the best arms, sorted by the first."""
    best = subject.data.best
    if best is None:
        return "needs a temperature or a perturbation arm"
    rows = sorted(best.correct.values(), reverse=True)
    places = range(1, len(rows) + 1)
    names = [subject.labels[arm.arm_id] for arm in best.arms]
    title = f"Solve rate of each problem in the best {agree(len(names), 'arm', 'arms')}"
    notes = [f"scored by {subject.scorer}", f"best by pass@{best.k}, chosen on these problems"]
    if best.impossible:
        notes.append(f"{counted(best.impossible, 'problem')} proven to have no solution")
    made, (axes,) = style.figure(f"{title}\n{describe(subject, f'{len(rows):,}', f'{best.depth:,}')}, the first of each", notes)
    if len(names) > 1:
        low, high = ([pick(row) / best.depth for row in rows] for pick in (min, max))
        axes.vlines(places, low, high, color="#c8c8c8", lw=min(1.0, 120 / len(rows)), zorder=1)
    for i, arm in enumerate(best.arms):
        size = 26 if len(rows) <= 200 else 8
        axes.scatter(
            places,
            [row[i] / best.depth for row in rows],
            s=size if i == 0 else 0.7 * size,
            marker=style.MARKER[arm.method],
            color=style.METHOD[arm.method],
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
    return made


def correct_counts(subject: Subject) -> Figure | str:
    """Each arm as a bar of all its problems, cut by how many of their draws are correct."""
    arms = _equal_arms(subject)
    if not arms:
        return "needs an arm with at least 2 draws"
    most = subject.data.k
    bins = count_bins(most)
    title = f"How many draws of a problem are correct\n{_at_equal_draws(subject, arms)}"
    made, (axes,) = style.figure(
        title, [f"scored by {subject.scorer}", *_left_out(subject)], height=max(2.6, min(14.0, 1.6 + 0.3 * len(arms)))
    )
    shades = ["#dddddd", *style.colours(TEMPERATURE.name, len(bins) - 1)]
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


def accuracy_of_draws(subject: Subject) -> Figure | str:
    """Each perturbed model as a point: its accuracy over all problems, compared with that of the unchanged model."""
    arms = [arm for arm in subject.data.of(PERTURBATION) if subject.data.accuracies[arm.arm_id]]
    if not arms:
        return "needs a perturbation arm with draws that met every problem"
    base = {arm.arm_id: subject.data.found.greedy_share(arm) for arm in arms}
    title = f"Accuracy of each perturbed model\n{subtitle(subject, arms)}"
    about = "a point is one draw over all problems, a bar their mean; sideways spread has no meaning"
    luck = "above base: on these problems, by luck or by quality; report --compare says how much is luck"
    made, (axes,) = style.figure(title, [f"scored by {subject.scorer}", about, luck])
    many = sum(len(subject.data.accuracies[arm.arm_id]) for arm in arms) > MANY
    for i, (arm, colour) in enumerate(zip(arms, style.colours(PERTURBATION.name, len(arms)), strict=True)):
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
    known = sorted({share for share in base.values() if share is not None})
    if known:
        said = " to ".join(f"{100 * share:.1f}%" for share in sorted({known[0], known[-1]}))
        axes.plot([], [], color="black", lw=1.2, ls=":", label=f"base, greedy: {said}")
    style.percent(axes, top=style.headroom([*known, *(share for arm in arms for share in subject.data.accuracies[arm.arm_id])]))
    axes.set_xlim(-0.6, len(arms) - 0.4)
    turned = len(arms) > 8 or any(len(subject.labels[arm.arm_id]) > 12 for arm in arms)
    axes.set_xticks(range(len(arms)), [subject.labels[arm.arm_id] for arm in arms], rotation=30 if turned else 0)
    axes.grid(False, axis="x")
    axes.set_ylabel("share of problems solved, greedily")
    style.legend(axes)
    return made
