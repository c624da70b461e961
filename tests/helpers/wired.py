"""What the commands read and print, wired as they wire it, without a process of its own."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from esprobe.analysis.arms import ArmRow, Filter
from esprobe.analysis.comparison import compare
from esprobe.analysis.exploration import read_exploration
from esprobe.analysis.overview import Overview, read_overview
from esprobe.analysis.plotted import PlotData, read_plotted
from esprobe.analysis.reading import open_database
from esprobe.report import comparison_text, table
from esprobe.report.explore import write
from esprobe.report.plots import save
from esprobe.report.render import Format


def overview(path: Path, chosen: Filter | None = None, ks: Sequence[int] = ()) -> Overview:
    with closing(open_database(path, snapshot=True)) as connection:
        return read_overview(connection, chosen or Filter(), ks, votes=True)


def load_arms(path: Path, chosen: Filter | None = None) -> list[ArmRow]:
    return list(overview(path, chosen).arms)


def report(path: Path, chosen: Filter | None = None, ks: Sequence[int] = (), style: Format = "table") -> str:
    return table.report(overview(path, chosen, ks), style)


def compare_report(
    path: Path, chosen: Filter | None = None, pair: Sequence[int] = (), ks: Sequence[int] = (), style: Format = "table"
) -> str:
    chosen = chosen or Filter()
    with closing(open_database(path, snapshot=True)) as connection:
        return comparison_text.compare_report(compare(connection, chosen, pair, ks), chosen.scorer, style)


def plotted(path: Path, chosen: Filter | None = None) -> list[PlotData]:
    with closing(open_database(path, snapshot=True)) as connection:
        return read_plotted(connection, read_overview(connection, chosen or Filter(), votes=True))


def save_plots(path: Path, chosen: Filter | None, folder: Path) -> list[str]:
    with closing(open_database(path, snapshot=True)) as connection:
        seen = read_overview(connection, chosen or Filter(), votes=True)
        return save.save_plots(seen, read_plotted(connection, seen), folder)


def explore(path: Path, out: Path, scorer: str = "countdown", per_cell: int = write.PER_CELL) -> str:
    with closing(open_database(path, snapshot=True)) as connection:
        return write.explore(read_exploration(connection, Filter(scorer)), path, out, per_cell)
