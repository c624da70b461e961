"""What is drawn in a plot, as matplotlib's objects have it."""

from pathlib import Path

from matplotlib.figure import Figure

from esprobe.analysis import reading
from esprobe.analysis.plotted import read_plotted
from esprobe.report.plots.data import Subject, subjects
from tests.helpers.wired import overview


def subjects_of(path: Path) -> list[Subject]:
    seen = overview(path)
    return subjects(seen, read_plotted(reading.open_database(path), seen))


def drawn(made: Figure | str) -> Figure:
    assert isinstance(made, Figure), made
    return made


def title(made: Figure) -> str:
    return " ".join(made.get_suptitle().split())


def notes(made: Figure) -> str:
    return " ".join(made.get_supxlabel().split())
