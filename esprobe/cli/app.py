"""The command line's app: its global options, the options of commands that show something, and printing.

Knows no command.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer

from esprobe.cli.options import Commands
from esprobe.report import encoding
from esprobe.report.render import Format
from esprobe.version import __version__

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


def print_as(text: str, style: Format) -> None:
    """Prints what a command found, so that programs can read it where it is for them."""
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


def counted(new: int, asked: int, done: str) -> str:
    """How much of what was asked for is new."""
    return f"{new:,} of {asked:,} {done}" + ("" if new == asked else ", the others are already in the database")
