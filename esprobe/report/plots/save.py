"""Draws every plot of a report into a folder, as PNG and SVG, and says which the data do not allow.

Knows the list of plots and their file names. Only `report --plots` comes here, so that nothing else loads matplotlib.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from esprobe.analysis.overview import Overview
from esprobe.analysis.plotted import PlotData
from esprobe.methods import IMPORTED, SAMPLED
from esprobe.report.plots import curves, problems, style, votes
from esprobe.report.plots.data import Subject, subjects

# File name → what draws it. Files are called MODEL-NAME.png and MODEL-NAME.svg.
PLOTS: dict[str, Callable[[Subject], Figure | str]] = {
    **{f"pass-at-k-{method.name}": partial(curves.of_method, method=method) for method in SAMPLED},
    "pass-at-k-overlaid": curves.overlaid,
    "vote-at-k": votes.vote_at_k,
    "best-against-best": curves.best_against_best,
    "coverage-against-depth": problems.coverage_against_depth,
    "solve-overlap": problems.solve_overlap,
    "problem-strip": problems.problem_strip,
    "pass-at-k-over-values": curves.over_values,
    "correct-counts": problems.correct_counts,
    "draw-accuracy": problems.accuracy_of_draws,
}


def save_plots(seen: Overview, plotted: Sequence[PlotData], folder: Path) -> list[str]:
    """Writes every plot that the data allow; returns a line for each file and for each plot skipped. Raises UserError.

    Each model has its own plots, since a plot compares no models.
    """
    lines = []
    with style.drawing_into(folder):
        for subject in subjects(seen, plotted):
            for name, draw in PLOTS.items():
                made = draw(subject)
                if isinstance(made, Figure):
                    lines += [str(path) for path in style.save(made, folder / f"{subject.slug}-{name}")]
                elif name != f"pass-at-k-{IMPORTED.name}":  # most databases have nothing imported, and need no line about it
                    lines.append(f"skipped {subject.slug}-{name}: {made}")
    return lines
