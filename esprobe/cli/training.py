"""The commands of training, added to the others: parse, call one function, print. No logic of its own."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from esprobe.arms import MOST_DRAWS
from esprobe.cli.commands import app, check_folder, pair
from esprobe.cli.interruption import interruption
from esprobe.cli.options import training_command
from esprobe.methods import PERTURBATION
from esprobe.plan.sweep import Sweep
from esprobe.plan.training import Reward
from esprobe.report import render as rendering

__all__ = ["app"]  # with these commands


@app.command(epilog="Example: esprobe train --name es --iterations 20; esprobe sample-temp --model es@20 -T 0.8")
@training_command
def train(
    ctx: typer.Context,
    name: Annotated[str, typer.Option(help="What the trained models are called: NAME@1, NAME@2 and so on.")] = "es",
    iterations: Annotated[int, typer.Option(min=1, envvar="ESPROBE_ITERATIONS", help="How often the weights are updated.")] = 20,
    population: Annotated[
        int, typer.Option(min=2, max=MOST_DRAWS, envvar="ESPROBE_POPULATION", help="Perturbed models per iteration.")
    ] = 32,
    sigma: Annotated[float, typer.Option(help="Standard deviation of their noise.")] = 0.01,
    learning_rate: Annotated[float, typer.Option(envvar="ESPROBE_LEARNING_RATE", help="Step of an update.")] = 0.005,
    problems_per_iteration: Annotated[
        int, typer.Option(min=1, envvar="ESPROBE_PROBLEMS_PER_ITERATION", help="Training problems per iteration.")
    ] = 64,
    reward: Annotated[Reward, typer.Option(envvar="ESPROBE_REWARD", help="What is maximised: right answers, or the reward.")] = (
        "correct"
    ),
    seed: Annotated[
        list[int] | None, typer.Option(min=0, help="Seed of noise and order (repeatable: NAME-SEED@1 and so on); 42 without it.")
    ] = None,
    evaluate_every: Annotated[
        int | None, typer.Option(min=1, help="Sample the model on --test-data every so many iterations, and at the end.")
    ] = None,
    test_data: Annotated[Path | None, typer.Option(envvar="ESPROBE_TEST_DATA", help="Problems to evaluate on.")] = None,
    temperature: Annotated[
        list[float] | None, typer.Option("--temperature", "-T", help="Evaluate at this temperature too (repeatable).")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", "-n", min=1, max=MOST_DRAWS, help="Draws per test problem and T.")] = 8,
    **shared: Any,
) -> None:
    """Trains a model by evolution strategies. Every member's rollouts are rows, every iteration a model, NAME@ITERATION."""
    check_folder()
    from esprobe.cli.progress import meter
    from esprobe.engines.open import open_pool
    from esprobe.pipeline.machine import command_line
    from esprobe.pipeline.train import evaluation, train_all
    from esprobe.plan.training import trainings

    engines = (shared.pop("engines"), shared.pop("ray_address"), shared.pop("engine_timeout"))
    del shared["preset"]  # already applied
    shared["task_options"] = tuple(pair(word) for word in shared.pop("task_option") or ())
    wanted = trainings(
        seed or [Sweep.seed],
        name=name,
        iterations=iterations,
        population=population,
        sigma=sigma,
        learning_rate=learning_rate,
        problems_per_iteration=problems_per_iteration,
        reward=reward,
    )
    sweep = Sweep(PERTURBATION.name, (sigma,), population, greedy=False, **shared)
    tests = evaluation(sweep, evaluate_every, test_data, tuple(temperature or ()), samples)
    db, quiet = ctx.obj
    interruption.continues = True
    with meter(quiet) as shown:
        outcomes = train_all(wanted, sweep, db, command_line(), shown, lambda: open_pool(*engines), tests)
    if not quiet:
        for outcome in outcomes:
            print(f"{outcome.model}: {outcome.generated:,} rollouts generated; see: esprobe --db {rendering.shown(db)} report")


@app.command("export-model", epilog="Example: esprobe export-model es@20 --out es-20")
def export_model(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="NAME@ITERATION", help="A trained model of the database.")],
    out: Annotated[Path, typer.Option(help="The folder to write, which must not be there yet.")],
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option(help="float32 keeps every bit of what was trained.")
    ] = "float32",
) -> None:
    """Writes a trained model as a Hugging Face folder."""
    from esprobe.pipeline.export_model import export_model as write

    write(ctx.obj[0], model, out, dtype)
    print(f"{model} written to {rendering.shown(out)}")
