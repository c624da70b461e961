"""Plot of what training, selection, votes and samples are worth by the rollouts that they spend: without and with a verifier.

Knows a budget and the style. Must not know the database.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from esprobe.analysis.budget import KINDS, Budget, Point
from esprobe.methods import GREEDY, PERTURBATION, TEMPERATURE
from esprobe.report.files import slug
from esprobe.report.plots import style
from esprobe.report.plots.labels import End, at_ends
from esprobe.report.plots.output import drawing_into, save_each, wanted
from esprobe.report.words import counted, points
from esprobe.stats.samplers import Measure

# Kind → colour, line, marker, label, whether its interval can be read among the others
LOOKS: dict[str, tuple[str, object, str, str, bool]] = {
    GREEDY.name: ("#000000", "-", "D", "base, greedily", False),
    TEMPERATURE.name: (style.METHOD[TEMPERATURE.name], "-", "o", "samples at the best T", True),
    PERTURBATION.name: ("#E69F00", (0, (1, 1)), "v", "perturbed models at random", False),
    "best of N": (style.METHOD[PERTURBATION.name], (0, (4, 1.6)), "s", "best of N models", False),
    "top K": ("#CC79A7", (0, (4, 1.6)), "^", "best K of N models", False),
}
PANELS: dict[Measure, str] = {"value": "without a verifier: vote", "pass": "with a verifier: any is right"}
TRAINED = style.BOTH
PLOT = "budget"


def accuracy_by_budget(one: Budget) -> Figure:
    """Accuracy against all rollouts on a logarithmic axis, for a panel without and one with a verifier."""
    notes = [
        "bands: 95% intervals over problems, training seeds and models, of samples and trained models",
        f"total: rollouts before the test and on {one.problems:,} test problems that no training used",
        f"settings of samplers chosen on {one.choice:,} other problems"
        if one.choice
        else "settings of samplers chosen on the test problems",
    ]
    seeds = counted(len(one.training.lines), "training seed")
    about = f"{style.short(one.base)} and {one.training.name}, {seeds}, {counted(one.problems, 'problem')}"
    made, panels = style.figure(f"{_verdicts(one)}\n{about}", notes, columns=2)
    shown = [point for point in one.points if point.measure in PANELS]
    style.percent(panels[0], top=style.headroom([max(point.value, *(point.interval or ())) for point in shown]))
    for axes, (measure, name) in zip(panels, PANELS.items(), strict=True):
        found = [point for point in shown if point.measure == measure]
        axes.set_title(name, fontsize=9)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda total, _: f"{total:,.0f}"))
        axes.set_xlabel("rollouts in all")
        ends = [end for kind in KINDS for end in _curve(axes, [p for p in found if p.kind == kind], *LOOKS[kind])]
        ends += _trained(axes, [point for point in found if point.kind == "trained"])
        if axes is panels[-1]:  # colours and markers say the rest
            at_ends(axes, ends, style.HEIGHT)
    panels[0].set_ylabel("share of test problems solved")
    return made


def _verdicts(one: Budget) -> str:
    """The verdict on the last trained models in either panel, with the difference to the best sampler at equal budget."""
    parts = []
    for measure, name in PANELS.items():
        verdict = one.final(measure)
        if verdict is not None:
            difference = points(verdict.delta.value, verdict.delta.interval)
            parts.append(f"{name.partition(':')[0]}: {verdict.word}, trained − best sampler {difference} points")
    text = "; ".join(parts) or "What rollouts buy: training, selection, votes and samples"
    return text[0].upper() + text[1:]


def _trained(axes: Axes, points: Sequence[Point]) -> list[End]:
    """By iteration: with one answer, greedily, and with as many samples as the models have."""
    greedy = [point for point in points if point.arm is None]
    deepest = max((point.own for point in points), default=1)
    sampled = [point for point in points if point.own == deepest and point.arm is not None] if deepest > 1 else []
    ends = _curve(axes, greedy, TRAINED, "-", "P", "trained, greedily", band=not sampled)
    return ends + _curve(axes, sampled, TRAINED, (0, (2, 1)), "X", f"trained, b = {deepest:,}", band=True)


def _curve(
    axes: Axes, points: Sequence[Point], colour: str, line: object, marker: str, label: str, band: bool = False
) -> list[End]:
    """In the order of the budget, with its interval as a band, or as an error bar of a single point; its end."""
    if not points:
        return []
    points = sorted(points, key=lambda point: point.total)
    totals, values = [point.total for point in points], [point.value for point in points]
    axes.plot(totals, values, color=colour, ls=line, marker=marker, label=label, zorder=3, clip_on=False)
    low = [point.interval.low if point.interval else point.value for point in points]
    high = [point.interval.high if point.interval else point.value for point in points]
    if band and len(points) > 1:
        axes.fill_between(totals, low, high, color=colour, alpha=0.15, lw=0, zorder=2)
    elif band:
        axes.vlines(totals, low, high, color=colour, lw=1.2, zorder=2)
    return [End(totals[-1], values[-1], label, colour)]


def save_budgets(budgets: Sequence[Budget], folder: Path, names: Sequence[str] = ()) -> list[str]:
    """Draws one for each family into `folder`; returns a line for each file. Raises UserError."""
    wanted([PLOT], names)
    taken: set[str] = set()
    with drawing_into(folder, "".join(one.base + one.training.name for one in budgets)) as lines:
        for one in budgets:
            start = slug(one.training.name)
            if start.lower() in taken:  # trainings of unlike settings, or from another base, may have one name
                start += f"-{len(taken)}"
            taken.add(start.lower())
            lines += save_each([(f"{start}-{PLOT}", partial(accuracy_by_budget, one))], folder)
    return lines
