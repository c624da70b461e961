"""The picture of two arms that the user names, or of a trained model and its base: their curves and their difference.

Knows comparisons and the style. Must not know the database.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePath

from matplotlib.figure import Figure

from esprobe.analysis.comparison import Comparison
from esprobe.report.files import slug
from esprobe.report.plots import style
from esprobe.report.plots.difference import Pair, Side, draw_pair
from esprobe.report.plots.output import drawing_into, save_each
from esprobe.report.render import shown
from esprobe.report.words import arm_name, counted, distinct, names_of

PLOT = "paired-difference"


def save_comparisons(found: Sequence[Comparison], scorer: str, folder: Path, names: Sequence[str] = ()) -> list[str]:
    """One for each pair that is not the best of its model, which `save_plots` draws; a line for each file or plot skipped.

    Raises UserError where the folder cannot be written.
    """
    pairs = [one for one in found if one.choice is None] if not names or PLOT in names else []
    if not pairs:
        return []
    with drawing_into(folder, "".join(one.first.model + one.second.model for one in pairs)) as lines:
        for one in pairs:
            start = f"{slug(one.first.model)}-arm-{one.first.arm_id}-arm-{one.second.arm_id}"
            lines += save_each([(f"{start}-{PLOT}", partial(_draw, one, scorer))], folder)
    return lines


def _draw(one: Comparison, scorer: str) -> Figure | str:
    if one.depth < 2:
        return "needs two arms with at least 2 draws"
    if not any(step.difference.first or step.difference.second for step in one.steps):
        return "no draw of either arm is correct"
    a, b = _names(one)
    notes = [f"scored by {shown(scorer)}"]
    if one.left_out:
        notes.append(f"{counted(one.left_out, 'problem')} left out, which only one arm has")
    pair = Pair(
        first=Side(a, style.look(one.first.method, "#0072B2")),
        second=Side(b, style.look(one.second.method, "#D55E00")),
        at=[step.difference for step in one.steps],
        chance=[step.chance for step in one.steps],
        about=f"{counted(one.problems, 'problem')}, n = {counted(one.depth, 'draw')} each",
        notes=notes,
    )
    return draw_pair(pair)


def _names(one: Comparison) -> tuple[str, str]:
    """Of arms of one model their own; of two models with the models' names."""
    if one.first.model != one.second.model:
        names = [style.short(f"{PurePath(arm.model).name} {arm_name(arm)}") for arm in (one.first, one.second)]
        first, second = distinct(names, [one.first.arm_id, one.second.arm_id])
        return shown(first), shown(second)
    first, second = names_of([one.first, one.second]).values()
    return shown(first), shown(second)
