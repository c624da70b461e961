"""Plot of several models in one picture: pass@k of the best arms of each, on the problems that all of them have.

Knows what is compared across models and the style. Must not know the database.
"""

from pathlib import PurePath

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from esprobe.analysis.across import MOST, Across, Line
from esprobe.report.plots import style
from esprobe.report.plots.curves import chance_line, draw_curve
from esprobe.report.plots.data import Point
from esprobe.report.plots.findings import difference_found, listed
from esprobe.report.plots.labels import SIZE, at_ends, room
from esprobe.report.render import shown
from esprobe.report.words import arm_name, counted, distinct, percent


def models_at_k(one: Across, scorer: str) -> Figure:
    """One colour for each model, temperature solid and perturbation dashed; bands of the two best arms of different models."""
    curves = {line.arm.arm_id: [*map(Point.passed, line.curve)] for line in one.lines}
    wide = {line.arm.arm_id for line in one.best[:2]} if one.best else set()
    notes = [
        f"scored by {scorer}",
        "bands: 95% intervals of the two arms of the title",
        "the best arms of each model, chosen on these problems, which flatters them",
    ]
    if one.left_out:
        notes.append(
            f"left out, with other problems or beyond {MOST} models: {listed([_called(name) for name in one.left_out], most=5)}"
        )
    height = room(len(one.lines) + 2)
    made, (axes,) = style.figure(f"{_found(one)}\n{_about(one)}", notes, height=height)
    highs = [point.high if arm_id in wide else point.share for arm_id, points in curves.items() for point in points]
    style.share_axis(axes, max(highs))
    style.draws_axis(axes, max(line.curve[-1].k for line in one.lines))
    ends = []
    for line in one.lines:
        look = style.look(line.arm.method, style.MODELS[line.place])
        ends.append(draw_curve(axes, curves[line.arm.arm_id], _name(one, line), look, banded=line.arm.arm_id in wide))
    longest = max((len(_greedy_name(one, place, share)) for place, share in one.greedy), default=0)
    beside = max(2.0, max(line.curve[-1].k for line in one.lines) ** min(1.0, 0.03 + 0.0115 * longest))  # the names are as wide
    _greedy(axes, one, max(point.high for points in curves.values() for point in points if point.k <= beside))
    at_ends(axes, [*ends, *chance_line(axes, curves.values())], height)
    axes.set_ylabel("pass@k, mean over problems")
    return made


def _greedy(axes: Axes, one: Across, above: float) -> None:
    """Diamonds at k = 1 in the colours of the models, named in a list above the curves' beginnings."""
    top = axes.get_ylim()[1]
    for i, (place, share) in enumerate(sorted(one.greedy, key=lambda each: each[1])):
        colour = style.MODELS[place]
        axes.plot([1], [share], "D", color=colour, ms=6, mec="white", zorder=5, clip_on=False)
        axes.annotate(
            _greedy_name(one, place, share),
            xy=(1, share),
            xytext=(8, min(above, 0.7 * top) + (0.06 + 0.045 * i) * top),
            textcoords=("offset points", "data"),
            color=colour,
            fontsize=SIZE,
            va="center",
            zorder=6,
        )


def _greedy_name(one: Across, place: int, share: float) -> str:
    return f"◆ {_model(one, place)}, greedy: {percent(share)}"


def _found(one: Across) -> str:
    if one.best is None:
        return "pass@k of each model"
    first, second, difference = one.best
    return difference_found(_name(one, first), _name(one, second), difference)


def _about(one: Across) -> str:
    return f"{counted(len(one.models), 'model')}, {counted(one.problems, 'problem')} of {shown(one.task)} that all of them have"


def _name(one: Across, line: Line) -> str:
    """`es@8 T 0.4`."""
    return f"{_model(one, line.place)} {shown(arm_name(line.arm))}"


def _model(one: Across, place: int) -> str:
    """A name that no other of the models has: with its number where two folders are called alike."""
    return distinct([_called(model) for model in one.models], range(1, len(one.models) + 1))[place]


def _called(model: str) -> str:
    """A model's name without the folders or the owner before it."""
    return style.short(shown(PurePath(model).name or model), 32)
