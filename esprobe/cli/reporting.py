"""The commands that show what a database has: parse, read, print. No other logic, and nothing of a model is loaded."""

import sys
from collections.abc import Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING, Annotated

import typer

from esprobe.cli.app import FormatOption, ScorerOption, ShownTaskOption, app, print_as
from esprobe.cli.report_options import (
    BudgetOption,
    CompareOption,
    KsOption,
    MarginOption,
    PageArmsOption,
    PageFileOption,
    PerCellOption,
    PlotOption,
    PlotsOption,
    SelectOption,
    ShownArmsOption,
    ShownMethodsOption,
    ShownModelOption,
    ShownValuesOption,
    ShowPageOption,
    TrainFileOption,
)
from esprobe.methods import NAMES
from esprobe.report import render as rendering
from esprobe.report.render import Format

if TYPE_CHECKING:
    from esprobe.analysis.arms import Filter

Pictures = tuple[Path, Sequence[str]]  # the folder of plots, and the names of those to draw; none is all


@app.command(epilog="Example: esprobe report -k 1 -k 16 --format markdown")
def report(
    ctx: typer.Context,
    k: KsOption = None,
    style: FormatOption = "table",
    scorer: ScorerOption = None,
    task: ShownTaskOption = None,
    model: ShownModelOption = None,
    method: ShownMethodsOption = None,
    value: ShownValuesOption = None,
    plots: PlotsOption = None,
    plot: PlotOption = None,
    compare: CompareOption = False,
    select: SelectOption = False,
    budget: BudgetOption = False,
    margin: MarginOption = 2.0,
    train: TrainFileOption = None,
    arm: ShownArmsOption = None,
) -> None:
    """Show every arm: pass@k with 95% intervals, problems solved, and what guessing would score on the same problems."""
    from esprobe.analysis import reading
    from esprobe.analysis.arms import Filter
    from esprobe.analysis.which import scorer_of
    from esprobe.store.soundness import explained

    _check(method or (), [compare, select, budget], train is None or select or budget)
    if plot:
        from esprobe.report.plots.known import check_names

        check_names("--select" if select else "--budget" if budget else "", plot)
    connection = reading.open_database(ctx.obj[0], snapshot=True)
    pictures = None if plots is None and not plot else (plots or Path(), plot or ())
    with explained(ctx.obj[0]):
        scorer = scorer_of(connection, task, scorer)
        chosen = Filter(scorer, model, tuple(method or ()), tuple(value or ()), task, tuple(arm or ()))
        if compare:
            _print_comparison(connection, chosen, (arm or (), k or ()), style, pictures)
        elif select:
            _print_selection(connection, chosen, k or (), train, style, pictures)
        elif budget:
            _print_budget(connection, chosen, margin / 100, train, style, pictures)
        else:
            _print_report(connection, chosen, k or (), style)
        if pictures is not None and not (select or budget):  # which have plots of their own
            _print_plots(connection, chosen, pictures, style)
        _name_tasks(connection, task)


def _check(methods: Sequence[str], kinds: Sequence[bool], train_is_used: bool) -> None:
    """Raises typer.BadParameter for options that contradict each other."""
    for name in methods:
        if name not in NAMES:
            raise typer.BadParameter(f"there is no method {name!r}; methods: {', '.join(NAMES)}")
    if sum(kinds) > 1:
        raise typer.BadParameter("--compare, --select and --budget are different reports; ask for one of them")
    if not train_is_used:
        raise typer.BadParameter("--train is for --select and --budget")


def _name_tasks(connection: Connection, task: str | None) -> None:
    """Where the user names no task and there are several."""
    from esprobe.analysis.which import tasks

    if task is None and len(names := tasks(connection)) > 1:
        print(f"one task at a time; --task shows another: {rendering.shown(', '.join(names))}", file=sys.stderr)


def _print_report(connection: Connection, chosen: "Filter", ks: Sequence[int], style: Format) -> None:
    from esprobe.analysis.overview import read_overview
    from esprobe.report.table import report as make_report

    print_as(make_report(read_overview(connection, chosen, ks, votes=True), style), style)


def _print_comparison(
    connection: Connection,
    chosen: "Filter",
    of: tuple[Sequence[int], Sequence[int]],
    style: Format,
    pictures: Pictures | None,
) -> None:
    """`of`: the pair of arms, if any, and the k."""
    from esprobe.analysis.comparison import compare
    from esprobe.report.comparison_text import compare_report

    found = compare(connection, chosen, *of)
    print_as(compare_report(found, chosen.scorer, style), style)
    if pictures is not None:
        from esprobe.report.plots.compared import save_comparisons

        lines = save_comparisons(found, chosen.scorer, *pictures)
        if lines:
            _print_files(lines, style)


def _print_selection(
    connection: Connection, chosen: "Filter", ks: Sequence[int], train: Path | None, style: Format, pictures: Pictures | None
) -> None:
    from esprobe.analysis.selection import selections
    from esprobe.report.selection import select_report

    selected = selections(connection, chosen, ks, train)
    print_as(select_report(selected, chosen.scorer, style), style)
    if pictures is not None:
        from esprobe.report.plots.selection import save_selection

        _print_files(save_selection(selected, *pictures), style)


def _print_budget(
    connection: Connection, chosen: "Filter", margin: float, train: Path | None, style: Format, pictures: Pictures | None
) -> None:
    from esprobe.analysis.budget import budgets
    from esprobe.report.budget import budget_report

    found = budgets(connection, chosen, margin, train)
    print_as(budget_report(found, style), style)
    if pictures is not None:
        from esprobe.report.plots.budget import save_budgets

        _print_files(save_budgets(found, *pictures), style)


def _print_plots(connection: Connection, chosen: "Filter", pictures: Pictures, style: Format) -> None:
    from esprobe.analysis.overview import read_overview
    from esprobe.analysis.plotted import read_plotted
    from esprobe.report.plots.save import save_plots

    seen = read_overview(connection, chosen, votes=True)
    _print_files(save_plots(seen, read_plotted(connection, seen), *pictures), style)


def _print_files(lines: Sequence[str], style: Format) -> None:
    """Below the report; on standard error where a program reads the report, which stays whole."""
    text = rendering.shown_lines("\n".join(lines))
    print("", text, sep="\n", file=sys.stderr if style in ("csv", "json") else sys.stdout)


@app.command(epilog="Example: esprobe explore --out results.html --open")
def explore(
    ctx: typer.Context,
    out: PageFileOption = Path("esprobe.html"),
    show: ShowPageOption = False,
    rollouts_per_cell: PerCellOption = 4,
    scorer: ScorerOption = None,
    task: ShownTaskOption = None,
    model: ShownModelOption = None,
    method: ShownMethodsOption = None,
    value: ShownValuesOption = None,
    arm: PageArmsOption = None,
) -> None:
    """Write one HTML file for browsing: all arms and their curves; any two side by side, problem by problem, with rollouts."""
    from contextlib import closing

    from esprobe.analysis.arms import Filter
    from esprobe.analysis.exploration import read_exploration
    from esprobe.analysis.reading import open_database
    from esprobe.analysis.which import scorer_of
    from esprobe.report.explore.write import explore as write_page
    from esprobe.store.soundness import explained

    _check(method or (), [], train_is_used=True)
    db = ctx.obj[0]
    with explained(db), closing(open_database(db, snapshot=True)) as connection:
        scorer = scorer_of(connection, task, scorer)
        chosen = Filter(scorer, model, tuple(method or ()), tuple(value or ()), task, tuple(arm or ()))
        said = write_page(read_exploration(connection, chosen), db, out, rollouts_per_cell, show)
        _name_tasks(connection, task)
    print(rendering.shown(said))


@app.command(epilog="Example: esprobe arms --format csv")
def arms(ctx: typer.Context, style: FormatOption = "table") -> None:
    """List every arm with its id and settings, and how many problems, draws and rollouts it has."""
    from esprobe.analysis import reading
    from esprobe.analysis.listing import listed_arms
    from esprobe.report.listing import arms_report

    print_as(arms_report(listed_arms(reading.open_database(ctx.obj[0])), style), style)


@app.command(epilog="Example: esprobe runs --format json")
def runs(ctx: typer.Context, style: FormatOption = "table") -> None:
    """List every run that produced rollouts: when it began, how long it took, how it ended, how many it wrote."""
    from esprobe.analysis import reading
    from esprobe.analysis.runs import runs as read_runs
    from esprobe.report.runs import runs_report

    print_as(runs_report(read_runs(reading.open_database(ctx.obj[0])), style), style)


@app.command(epilog='Example: esprobe sql "SELECT method, value, problems_solved FROM arm_summary"')
def sql(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT statement.")],
    style: FormatOption = "table",
) -> None:
    """Run a read-only query over tables and views. `SELECT name, sql FROM sqlite_master` lists them."""
    from esprobe.analysis import reading
    from esprobe.report.render import render

    print_as(render(*reading.query(reading.open_database(ctx.obj[0]), query), style), style)


@app.command("datasette-metadata", epilog="Example: esprobe datasette-metadata > metadata.json")
def datasette_metadata(ctx: typer.Context) -> None:
    """Print what Datasette shows of every table, view and column, as its metadata.json."""
    import json

    from esprobe.analysis.reading import open_database
    from esprobe.analysis.schema import columns_by_table
    from esprobe.store.descriptions import datasette_metadata as metadata

    db = ctx.obj[0]
    print_as(json.dumps(metadata(db.stem, columns_by_table(open_database(db))), indent=2, ensure_ascii=False), "json")
