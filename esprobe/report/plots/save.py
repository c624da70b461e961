"""Draws the plots of a report into a folder, and says which the data do not allow.

Knows the list of plots and their file names. Only `report --plots` comes here, so that nothing else loads matplotlib.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from esprobe.analysis.across import read_across
from esprobe.analysis.overview import Overview
from esprobe.analysis.plotted import PlotData
from esprobe.methods import GREEDY, IMPORTED, SAMPLED
from esprobe.report.files import hyphened
from esprobe.report.plots import curves, difference, problems, values, votes
from esprobe.report.plots.data import Subject, subjects
from esprobe.report.plots.models import models_at_k
from esprobe.report.plots.output import drawing_into, save_each, wanted
from esprobe.report.render import shown

# File name → what draws it. Files are called MODEL-NAME.png, .svg and .pdf.
PLOTS: dict[str, Callable[[Subject], Figure | str]] = {
    **{f"pass-at-k-{method.name}": partial(curves.of_method, method=method) for method in SAMPLED},
    "pass-at-k-overlaid": curves.overlaid,
    "vote-at-k": votes.vote_at_k,
    "best-against-best": curves.best_against_best,
    "paired-difference": difference.paired_difference,
    "coverage-against-depth": problems.coverage_against_depth,
    "solve-overlap": problems.solve_overlap,
    "problem-strip": problems.problem_strip,
    "pass-at-k-over-values": values.over_values,
    "pass-at-k-by-kind": values.by_kind,
    "correct-counts": problems.correct_counts,
    "draw-accuracy": problems.accuracy_of_draws,
}

MODELS = "models-pass-at-k"  # of all models of a task together


def save_plots(seen: Overview, plotted: Sequence[PlotData], folder: Path, names: Sequence[str] = ()) -> list[str]:
    """Writes every plot that the data allow, or those of these names; returns a line for each file and each plot skipped.

    Each model has its own plots, and models of one task have one that compares them. Raises UserError for an unknown name, or
    where the folder cannot be written.
    """
    chosen = wanted([*PLOTS, MODELS], names)
    across = read_across(plotted) if MODELS in chosen else []
    about = subjects(seen, plotted)
    with drawing_into(folder, "".join(map(_text, about))) as lines:
        for subject in about:
            if not subject.drawn:
                sampled = any(arm.method != GREEDY.name for arm in subject.data.arms)
                why = "no draw of any arm is correct" if sampled else "greedy decoding alone has no curve"
                lines.append(f"skipped {subject.slug}: {why}")
                continue
            drawn = [(f"{subject.slug}-{name}", partial(draw, subject)) for name, draw in PLOTS.items() if name in chosen]
            made = save_each(drawn, folder)
            lines += [line for line in made if names or not line.startswith(f"skipped {subject.slug}-pass-at-k-{IMPORTED.name}:")]
        for one in across:
            name = MODELS if len(across) == 1 else f"{MODELS}-{hyphened(one.task)}"
            lines += save_each([(name, partial(models_at_k, one, shown(seen.scorer)))], folder)
    return lines


def _text(subject: Subject) -> str:
    return subject.model + subject.scorer + "".join(subject.labels.values())
