"""Plot of what training, selection, votes and samples are worth by the rollouts that they spend: without and with a verifier.

Knows a budget and the style. Must not know the database.
"""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from esprobe.analysis.budget import KINDS, Budget, Point
from esprobe.methods import GREEDY, PERTURBATION, TEMPERATURE
from esprobe.report.files import slug
from esprobe.report.plots import style
from esprobe.report.words import counted

# Kind → colour, line, marker, label
LOOKS: dict[str, tuple[str, object, str, str]] = {
    GREEDY.name: ("#000000", "-", "D", "base, greedily"),
    TEMPERATURE.name: (style.METHOD[TEMPERATURE.name], "-", "o", "samples at the best T"),
    PERTURBATION.name: ("#E69F00", (0, (1, 1)), "v", "perturbed models at random"),
    "best of N": (style.METHOD[PERTURBATION.name], (0, (4, 1.6)), "s", "best of N models"),
    "top K": ("#CC79A7", (0, (4, 1.6)), "^", "best K of N models together"),
}
TRAINED = style.BOTH


def accuracy_by_budget(one: Budget) -> Figure:
    """Accuracy against all rollouts on a logarithmic axis, for a panel without and one with a verifier."""
    seeds = counted(len(one.training.lines), "training seed")
    notes = [
        "bands: 95% intervals over problems, training seeds and perturbed models",
        f"total: rollouts before the test and on {one.problems:,} test problems that no training used",
        f"settings of samplers chosen on {one.choice:,} other problems"
        if one.choice
        else "settings of samplers chosen on the test problems",
    ]
    title = f"What rollouts buy: training, selection, votes and samples\n{style.short(one.base)} and {one.training.name}, {seeds}"
    made, panels = style.figure(title, notes, columns=2)
    tops: list[float] = []
    for axes, measure, name in (
        (panels[0], "value", "without a verifier: vote"),
        (panels[1], "pass", "with a verifier: any is right"),
    ):
        points = [point for point in one.points if point.measure == measure]
        for kind in KINDS:
            _curve(axes, [point for point in points if point.kind == kind], *LOOKS[kind])
        _trained(axes, [point for point in points if point.kind == "trained"])
        tops += [point.interval.high if point.interval else point.value for point in points]
        axes.set_title(name, fontsize=9)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda total, _: f"{total:,.0f}"))
        axes.set_xlabel("rollouts in all")
    style.percent(panels[0], top=style.headroom(tops))
    panels[0].set_ylabel("share of test problems solved")
    style.legend(panels[1])
    return made


def _trained(axes: Axes, points: Sequence[Point]) -> None:
    """By iteration: with one answer, greedily, and with as many samples as the models have."""
    greedy = [point for point in points if point.arm is None]
    deepest = max((point.own for point in points), default=1)
    _curve(axes, greedy, TRAINED, "-", "P", "trained, greedily")
    if deepest > 1:
        sampled = [point for point in points if point.own == deepest and point.arm is not None]
        _curve(axes, sampled, TRAINED, (0, (2, 1)), "X", f"trained, b = {deepest:,}")


def _curve(axes: Axes, points: Sequence[Point], colour: str, line: object, marker: str, label: str) -> None:
    """In the order of the budget; a single point has an error bar for a band."""
    if not points:
        return
    points = sorted(points, key=lambda point: point.total)
    totals, values = [point.total for point in points], [point.value for point in points]
    low = [point.interval.low if point.interval else point.value for point in points]
    high = [point.interval.high if point.interval else point.value for point in points]
    axes.plot(totals, values, color=colour, ls=line, marker=marker, label=label, zorder=3)
    if len(points) > 1:
        axes.fill_between(totals, low, high, color=colour, alpha=0.13, lw=0, zorder=2)
    else:
        axes.vlines(totals, low, high, color=colour, lw=1.2, zorder=2)


def save_budgets(budgets: Sequence[Budget], folder: Path) -> list[str]:
    """Draws one for each family as PNG and SVG into `folder`; returns a line for each file. Raises UserError."""
    lines: list[str] = []
    taken: set[str] = set()
    with style.drawing_into(folder):
        for one in budgets:
            start = slug(one.training.name)
            if start.lower() in taken:  # trainings of unlike settings, or from another base, may have one name
                start += f"-{len(taken)}"
            taken.add(start.lower())
            lines += [str(path) for path in style.save(accuracy_by_budget(one), folder / f"{start}-budget")]
    return lines
