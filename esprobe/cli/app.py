"""The command line's app: its global options, the options of commands that show something, and printing.

Knows no command.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from esprobe.cli.help import Command, name_values
from esprobe.cli.options import Commands
from esprobe.report import encoding, pasting
from esprobe.report.render import Format
from esprobe.version import __version__

F = TypeVar("F", bound=Callable[..., Any])


class App(typer.Typer):
    """Gives every command the layout of help that is esprobe's."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        """See typer.Typer."""
        add = super().command(name, cls=Command, **settings)

        def named(function: F) -> F:
            name_values(function)
            return add(function)

        return named


app = App(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Does evolution-strategies fine-tuning find anything that sampling the base model would not? Samples a model at several "
    "temperatures and under random perturbations of its weights, keeps every rollout in SQLite, and reports pass@k: how often at "
    "least one of k answers is correct. An arm is one setting that is sampled: a model, a method, its T or σ, and all else that "
    "matters.",
    epilog="Example: esprobe sample-temp -T 0.6 -n 16; esprobe sample-perturb --sigma 0.01 -n 16; esprobe report",
)


WHAT_TO_SHOW = "What to show"


def _version(wanted: bool) -> None:
    if wanted:
        print(f"esprobe {__version__}")
        raise typer.Exit


def print_as(text: str, style: Format) -> None:
    """Prints what a command found, so that programs can read it where it is for them."""
    print(encoding.for_programs(text, style) if style in ("csv", "json") else text)


FormatOption = Annotated[
    Format, typer.Option("--format", envvar="ESPROBE_FORMAT", help="table, markdown, csv or json.", rich_help_panel="Output")
]
ScorerOption = Annotated[
    str | None,
    typer.Option(
        envvar="ESPROBE_SCORER", help="Scorer whose verdicts to show; default: the task's own.", rich_help_panel=WHAT_TO_SHOW
    ),
]
ShownTaskOption = Annotated[
    str | None,
    typer.Option(
        "--task", help="Task to show; default: countdown, or the first that the database has.", rich_help_panel=WHAT_TO_SHOW
    ),
]


@app.callback()
def main_options(
    ctx: typer.Context,
    db: Annotated[
        Path,
        typer.Option(envvar="ESPROBE_DB", metavar="PATH", help="The results database; sampling, import and merge create it."),
    ] = Path("esprobe.db"),
    quiet: Annotated[bool, typer.Option("--quiet", envvar="ESPROBE_QUIET", help="No progress, only results.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """See the help of the app; these options apply to every command."""
    if quiet:
        logging.getLogger("esprobe").setLevel(logging.ERROR)
    ctx.obj = (db, quiet)
    source = ctx.get_parameter_source("db")
    pasting.database = None if source is not None and source.name == "DEFAULT" else db


def counted(new: int, asked: int, done: str) -> str:
    """How much of what was asked for is new."""
    return f"{new:,} of {asked:,} {done}" + ("" if new == asked else ", the others are already in the database")
