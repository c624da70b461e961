"""The commands that change a database without generating, and the export of trained models: parse, call one function, print."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from esprobe.cli.app import app, counted
from esprobe.cli.interruption import interruption
from esprobe.cli.options import TaskOption
from esprobe.errors import UserError
from esprobe.methods import IMPORTED, NAMES, MethodName
from esprobe.pipeline.foreign import FileFormat
from esprobe.report import render as rendering
from esprobe.tasks.registry import DEFAULT


def _imported(*names: str, **settings: Any) -> Any:
    """An option that says what an imported file is."""
    return typer.Option(*names, rich_help_panel="Rollouts", **settings)


@app.command(epilog="Example: esprobe score --scorer countdown-published")
def score(
    ctx: typer.Context,
    scorer: Annotated[
        str | None,
        typer.Option(
            envvar="ESPROBE_SCORER", help="Scorer to use, such as countdown-published or gsm8k-lenient; default: the task's own."
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also score again what this scorer has already scored.")] = False,
) -> None:
    """Score stored rollouts without generating anything."""
    from contextlib import closing

    from esprobe.analysis.reading import open_database
    from esprobe.analysis.which import tasks
    from esprobe.cli.progress import meter
    from esprobe.pipeline.rescore import rescore
    from esprobe.report import words
    from esprobe.store.soundness import explained

    db, quiet = ctx.obj
    interruption.continues = True
    others: list[str] = []
    with meter(quiet) as shown, explained(db):
        if scorer is None:
            with closing(open_database(db)) as connection:
                scorer, *others = tasks(connection)  # each task's own scorer has its name
        count = rescore(db, scorer, all_, shown)
    if not quiet:
        print(f"{words.counted(count, 'rollout')} scored by {scorer}")
    if others:
        print(f"one task at a time; --scorer scores another: {rendering.shown(', '.join(others))}", file=sys.stderr)


@app.command("import", epilog="Example: esprobe import rollouts.jsonl --model my-es-checkpoint --label run-1")
def import_(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help='JSON Lines: {"numbers": …, "target": …, "draw": …, "text": …}; or another program\'s log.'
        ),
    ],
    task: TaskOption = DEFAULT,
    form: Annotated[
        FileFormat,
        _imported(
            "--format", metavar="NAME", help="Form of the file: esprobe, lm-eval (samples) or inspect (logs); auto: by its look."
        ),
    ] = "auto",
    model: Annotated[str, _imported(help="Name of the model that generated them.")] = IMPORTED.name,
    label: Annotated[str, _imported(help="Distinguishes several imports of one model.")] = "",
    method: Annotated[MethodName, _imported(help=f"How they were sampled: {', '.join(NAMES)}.")] = IMPORTED.name,
    value: Annotated[float | None, _imported(help="The T or σ they were sampled at.")] = None,
) -> None:
    """Import rollouts made elsewhere and score them; the same file again adds nothing."""
    from esprobe.pipeline.import_rollouts import Source, import_rollouts
    from esprobe.pipeline.machine import command_line

    db, quiet = ctx.obj
    imported = import_rollouts(file, db, command_line(), Source(model, label, method, value, task, form))
    if not quiet:
        print(counted(imported.new, imported.read, "rollouts imported"))


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


@app.command(epilog="Example: esprobe delete --arm 7")
def delete(
    ctx: typer.Context,
    arm: Annotated[int, typer.Option(help="The arm's id, see `esprobe arms`.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an arm with its rollouts and their verdicts, after asking."""
    from esprobe.pipeline.deletion import delete as delete_arm
    from esprobe.report.words import counted as words
    from esprobe.store.deletion import Doomed

    def agreed(doomed: Doomed) -> bool:
        value = "" if doomed.value is None else f" {doomed.value:g}"
        what = f"arm {doomed.arm_id}, {doomed.method}{value} of {rendering.shown(doomed.model)}"
        return yes or _confirmed(f"delete {what}, with {words(doomed.rollouts, 'rollout')}?")

    db, quiet = ctx.obj
    deleted = delete_arm(db, arm, agreed)
    if not quiet:
        print(f"{words(deleted.rollouts, 'rollout')} deleted" if deleted else "nothing was deleted")


def _confirmed(question: str) -> bool:
    """Whether the user says yes. Raises UserError where nobody can be asked."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UserError(f"{question} Nobody can be asked here; add --yes")
    return typer.confirm(question)


@app.command("export-model", epilog="Example: esprobe export-model es@20 --out es-20")
def export_model(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="NAME@ITERATION", help="A trained model of the database.")],
    out: Annotated[Path, typer.Option(help="The folder to write, which must not exist yet.")],
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"],
        typer.Option(help="Number format: float32, which keeps every bit of what was trained, bfloat16 or float16."),
    ] = "float32",
) -> None:
    """Write a trained model as a Hugging Face folder."""
    from esprobe.pipeline.export_model import export_model as write

    write(ctx.obj[0], model, out, dtype)
    print(f"{model} written to {rendering.shown(out)}")
