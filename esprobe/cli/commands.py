"""The commands: parse, call one function, print. No other logic."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esprobe.cli.interruption import interruption
from esprobe.cli.options import (
    Commands,
    MinPOption,
    MixedOption,
    ModelTemperaturesOption,
    NoiseOption,
    PerturbationsOption,
    SamplesOption,
    SamplesPerModelOption,
    SigmasOption,
    TaskOption,
    TemperaturesOption,
    TopKOption,
    TopPOption,
    sampling_command,
)
from esprobe.errors import UserError
from esprobe.methods import IMPORTED, NAMES, PERTURBATION, TEMPERATURE, MethodName
from esprobe.pipeline.foreign import FileFormat
from esprobe.plan.sweep import DRAWS, Sweep
from esprobe.report import encoding
from esprobe.report import render as rendering
from esprobe.report.render import Format
from esprobe.tasks.registry import DEFAULT
from esprobe.version import __version__

if TYPE_CHECKING:
    from esprobe.analysis.arms import Filter

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Does evolution-strategies fine-tuning find anything that sampling the base model would not? Samples a model at several "
    "temperatures and under random perturbations of its weights, keeps every rollout in SQLite, and reports pass@k.",
    epilog="Example: esprobe sample-temp -T 0.6 -n 16; esprobe sample-perturb --sigma 0.01 -n 16; esprobe report",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"esprobe {__version__}")
        raise typer.Exit


def _print(text: str, style: Format) -> None:
    print(encoding.for_programs(text, style) if style in ("csv", "json") else text)


FormatOption = Annotated[Format, typer.Option("--format", envvar="ESPROBE_FORMAT", help="Output format.")]
ScorerOption = Annotated[
    str | None, typer.Option(envvar="ESPROBE_SCORER", help="Scorer whose verdicts to show; default: the task's own.")
]
ShownTaskOption = Annotated[
    str | None, typer.Option("--task", help="Task to show; default: countdown, or the first that the database has.")
]


@app.callback()
def main_options(
    ctx: typer.Context,
    db: Annotated[Path, typer.Option(envvar="ESPROBE_DB", help="The results database; created if missing.")] = Path("esprobe.db"),
    quiet: Annotated[bool, typer.Option("--quiet", envvar="ESPROBE_QUIET", help="No progress, only results.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """See the help of the app; these options apply to every command."""
    if quiet:
        logging.getLogger("esprobe").setLevel(logging.ERROR)
    ctx.obj = (db, quiet)


@app.command("sample-temp", epilog="Example: esprobe sample-temp -T 0.6,1.0 -n 16 --limit 32")
@sampling_command
def sample_temp(
    ctx: typer.Context,
    temperature: TemperaturesOption = None,
    samples: SamplesOption = DRAWS,
    top_p: TopPOption = None,
    top_k: TopKOption = None,
    min_p: MinPOption = None,
    **shared: Any,
) -> None:
    """Sample greedily and at several temperatures from the unchanged model. Generates only what is missing."""
    truncation = {"top_p": top_p, "top_k": top_k, "min_p": min_p}
    _sample(ctx, shared | truncation, method=TEMPERATURE.name, values=tuple(temperature or ()), draws=samples)


@app.command("sample-perturb", epilog="Example: esprobe sample-perturb --sigma 0.01,0.03 -n 16 --limit 32")
@sampling_command
def sample_perturb(
    ctx: typer.Context,
    sigma: SigmasOption = None,
    perturbations: PerturbationsOption = DRAWS,
    noise: NoiseOption = "iid",
    mixed: MixedOption = False,
    samples_per_model: SamplesPerModelOption = 1,
    temperature: ModelTemperaturesOption = None,
    **shared: Any,
) -> None:
    """Sample greedily from the model and from random perturbations of its weights. Generates only what is missing."""
    _sample(
        ctx,
        shared,
        method=PERTURBATION.name,
        values=tuple(sigma or ()),
        draws=perturbations,
        noise=noise,
        mixed=mixed,
        samples=samples_per_model,
        temperatures=tuple(temperature or ()),
    )


def check_folder() -> None:
    """Refuses a current folder that was removed: torch would end the whole process there without naming the cause."""
    try:
        os.getcwd()
    except OSError as error:
        raise UserError(f"the current folder cannot be used ({error.strerror}); change to another one") from None


def _sample(ctx: typer.Context, shared: dict[str, Any], **own: Any) -> None:
    check_folder()
    from esprobe.cli.progress import meter
    from esprobe.engines.open import open_pool
    from esprobe.pipeline.machine import command_line
    from esprobe.pipeline.sample import sample

    pool = open_pool(shared.pop("engines"), shared.pop("ray_address"), shared.pop("engine_timeout"))
    debug, greedy = shared.pop("debug"), not shared.pop("no_greedy")
    del shared["preset"]  # already applied
    shared["task_options"] = tuple(pair(word) for word in shared.pop("task_option") or ())
    sweep = Sweep(**own, **shared, greedy=greedy)
    db, quiet = ctx.obj
    interruption.continues = True
    with meter(quiet) as shown:
        outcome = sample(sweep.debug() if debug else sweep, db, command_line(), shown, pool)
    if not quiet:
        print(
            _counted(outcome.generated, outcome.asked, "rollouts generated") + f"; see: esprobe --db {rendering.shown(db)} report"
        )


def pair(word: str) -> tuple[str, str]:
    """The key and the value of a `--task-option`."""
    key, given, value = word.partition("=")
    if not given or not key:
        raise typer.BadParameter(f"--task-option must be KEY=VALUE, not {word!r}")
    return key, value


def _counted(new: int, asked: int, done: str) -> str:
    return f"{new:,} of {asked:,} {done}" + ("" if new == asked else ", the others are already in the database")


@app.command(epilog="Example: esprobe score --scorer countdown-published")
def score(
    ctx: typer.Context,
    scorer: Annotated[
        str | None,
        typer.Option(envvar="ESPROBE_SCORER", help="Such as countdown-published or gsm8k-lenient; default: the task's own."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also rescore what this scorer has scored.")] = False,
) -> None:
    """Score stored rollouts without generating anything."""
    from contextlib import closing

    from esprobe.analysis.reading import open_database
    from esprobe.analysis.which import scorer_of
    from esprobe.cli.progress import meter
    from esprobe.pipeline.rescore import rescore
    from esprobe.report.words import counted
    from esprobe.store.soundness import explained

    db, quiet = ctx.obj
    interruption.continues = True
    with meter(quiet) as shown, explained(db):
        if scorer is None:
            with closing(open_database(db)) as connection:
                scorer = scorer_of(connection, None, None)
        count = rescore(db, scorer, all_, shown)
    if not quiet:
        print(f"{counted(count, 'rollout')} scored by {scorer}")


@app.command(epilog="Example: esprobe report -k 1 -k 16 --format markdown")
def report(
    ctx: typer.Context,
    k: Annotated[list[int] | None, typer.Option("-k", min=1, help="A k of pass@k (repeatable).")] = None,
    style: FormatOption = "table",
    scorer: ScorerOption = None,
    task: ShownTaskOption = None,
    model: Annotated[str | None, typer.Option(help="Only models whose name contains this.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Only this method (repeatable).")] = None,
    value: Annotated[list[float] | None, typer.Option(help="Only this T or σ (repeatable).")] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also save the plots into this folder, as PNG and SVG.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="The best temperature arm against the best perturbation arm of each model.")
    ] = False,
    select: Annotated[
        bool, typer.Option("--select", help="What choosing perturbed models on some problems is worth on others.")
    ] = False,
    train: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --select: the problems to choose on; random halves without it."),
    ] = None,
    arm: Annotated[
        list[int] | None,
        typer.Option(
            "--arm",
            help="Only this arm_id (repeatable); with --compare the two arms to compare, with --select one population together.",
        ),
    ] = None,
) -> None:
    """Show every arm: pass@k with error bars, problems solved, and what guessing would score on the same problems."""
    from esprobe.analysis import reading
    from esprobe.analysis.arms import Filter
    from esprobe.analysis.which import scorer_of, tasks
    from esprobe.store.soundness import explained

    for name in method or ():
        if name not in NAMES:
            raise typer.BadParameter(f"there is no method {name!r}; methods: {', '.join(NAMES)}")
    if compare and select:
        raise typer.BadParameter("--compare and --select are two reports; ask for one of them")
    if train is not None and not select:
        raise typer.BadParameter("--train is for --select")
    connection = reading.open_database(ctx.obj[0], snapshot=True)
    with explained(ctx.obj[0]):
        scorer = scorer_of(connection, task, scorer)
        chosen = Filter(scorer, model, tuple(method or ()), tuple(value or ()), task, tuple(arm or ()))
        if compare:
            _print_comparison(connection, chosen, arm or (), k or (), style)
        elif select:
            _print_selection(connection, chosen, k or (), train, style, plots)
        else:
            _print_report(connection, chosen, k or (), style)
        if plots is not None and not select:  # which has plots of its own
            _print_plots(connection, chosen, plots, style)
        if task is None and len(names := tasks(connection)) > 1:
            print(f"one task at a time; --task shows another: {rendering.shown(', '.join(names))}", file=sys.stderr)


def _print_report(connection: Connection, chosen: "Filter", ks: Sequence[int], style: Format) -> None:
    from esprobe.analysis.overview import read_overview
    from esprobe.report.table import report as make_report

    _print(make_report(read_overview(connection, chosen, ks, votes=True), style), style)


def _print_comparison(connection: Connection, chosen: "Filter", pair: Sequence[int], ks: Sequence[int], style: Format) -> None:
    from esprobe.analysis.comparison import compare
    from esprobe.report.comparison_text import compare_report

    _print(compare_report(compare(connection, chosen, pair, ks), chosen.scorer, style), style)


def _print_selection(
    connection: Connection, chosen: "Filter", ks: Sequence[int], train: Path | None, style: Format, folder: Path | None
) -> None:
    from esprobe.analysis.selection import selections
    from esprobe.report.selection import select_report

    selected = selections(connection, chosen, ks, train)
    _print(select_report(selected, chosen.scorer, style), style)
    if folder is not None:
        from esprobe.report.plots.selection import save_selection

        _print_files(save_selection(selected, folder), style)


def _print_plots(connection: Connection, chosen: "Filter", folder: Path, style: Format) -> None:
    from esprobe.analysis.overview import read_overview
    from esprobe.analysis.plotted import read_plotted
    from esprobe.report.plots.save import save_plots

    seen = read_overview(connection, chosen, votes=True)
    _print_files(save_plots(seen, read_plotted(connection, seen), folder), style)


def _print_files(lines: Sequence[str], style: Format) -> None:
    """Below the report; on standard error where a program reads the report, which stays whole."""
    text = rendering.shown_lines("\n".join(lines))
    print("", text, sep="\n", file=sys.stderr if style in ("csv", "json") else sys.stdout)


@app.command(epilog="Example: esprobe explore --out results.html --open")
def explore(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="The HTML file; an existing one is replaced.")] = Path("esprobe.html"),
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    rollouts_per_cell: Annotated[
        int, typer.Option(min=0, envvar="ESPROBE_ROLLOUTS_PER_CELL", help="Texts shown per arm and problem, at most.")
    ] = 4,
    scorer: ScorerOption = None,
    task: ShownTaskOption = None,
) -> None:
    """Write one HTML file for browsing: two arms side by side, problem by problem, with their rollouts."""
    from contextlib import closing

    from esprobe.analysis.exploration import read_exploration
    from esprobe.analysis.reading import open_database
    from esprobe.analysis.which import scorer_of
    from esprobe.report.explore.write import explore as write_page
    from esprobe.store.soundness import explained

    db = ctx.obj[0]
    with explained(db), closing(open_database(db, snapshot=True)) as connection:
        said = write_page(read_exploration(connection, scorer_of(connection, task, scorer)), db, out, rollouts_per_cell, show)
    print(rendering.shown(said))


@app.command("import", epilog="Example: esprobe import rollouts.jsonl --model my-es-checkpoint --label run-1")
def import_(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help='JSON Lines: {"numbers": …, "target": …, "draw": …, "text": …}; or another program\'s log.')
    ],
    task: TaskOption = DEFAULT,
    form: Annotated[
        FileFormat,
        typer.Option("--format", metavar="NAME", help="esprobe, lm-eval (samples) or inspect (logs); auto: as it looks."),
    ] = "auto",
    model: Annotated[str, typer.Option(help="Name of the model that generated them.")] = IMPORTED.name,
    label: Annotated[str, typer.Option(help="Distinguishes several imports of one model.")] = "",
    method: Annotated[MethodName, typer.Option(help="How they were sampled.")] = IMPORTED.name,
    value: Annotated[float | None, typer.Option(help="The T or σ they were sampled at.")] = None,
) -> None:
    """Import rollouts made elsewhere and score them; the same file again adds nothing."""
    from esprobe.pipeline.import_rollouts import Source, import_rollouts
    from esprobe.pipeline.machine import command_line

    db, quiet = ctx.obj
    imported = import_rollouts(file, db, command_line(), Source(model, label, method, value, task, form))
    if not quiet:
        print(_counted(imported.new, imported.read, "rollouts imported"))


@app.command(epilog="Example: esprobe merge other.db")
def merge(
    ctx: typer.Context, other: Annotated[Path, typer.Argument(metavar="OTHER.db", help="The results database to merge.")]
) -> None:
    """Merge another results database, exactly once; the other file is only read."""
    from esprobe.store.merge import merge as merge_into

    db, quiet = ctx.obj
    merged = merge_into(other, db)
    if not quiet:
        print(merged.line())


@app.command(epilog="Example: esprobe runs --format json")
def runs(ctx: typer.Context, style: FormatOption = "table") -> None:
    """List every run that produced rollouts: when it began, how it ended, how many it wrote."""
    from esprobe.analysis import reading
    from esprobe.analysis.runs import runs as read_runs
    from esprobe.report.render import render

    found = read_runs(reading.open_database(ctx.obj[0]), exact=style in ("csv", "json"))
    _print(render(*found, style, under=("message", "command")), style)


@app.command(epilog='Example: esprobe sql "SELECT method, value, problems_solved FROM arm_summary"')
def sql(
    ctx: typer.Context, query: Annotated[str, typer.Argument(help="One SELECT statement.")], style: FormatOption = "table"
) -> None:
    """Run a read-only query over tables and views."""
    from esprobe.analysis import reading
    from esprobe.report.render import render

    _print(render(*reading.query(reading.open_database(ctx.obj[0]), query), style), style)
