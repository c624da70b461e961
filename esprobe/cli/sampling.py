"""The commands that generate: sampling sweeps and training. They parse, call one function and print; no other logic."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from esprobe.cli.app import app, counted
from esprobe.cli.interruption import interruption
from esprobe.cli.method_options import (
    EvaluateEveryOption,
    HalfLifeOption,
    IterationsOption,
    LearningRateOption,
    MinPOption,
    MixedOption,
    ModelTemperaturesOption,
    NameOption,
    NoiseOption,
    PerturbationsOption,
    PopulationOption,
    ProblemsPerIterationOption,
    RankOption,
    RewardOption,
    SamplesOption,
    SamplesPerModelOption,
    SeedsOption,
    SigmaOption,
    SigmasOption,
    TemperaturesOption,
    TestDataOption,
    TestSamplesOption,
    TestTemperaturesOption,
    TopKOption,
    TopPOption,
)
from esprobe.cli.options import sampling_command, training_command
from esprobe.errors import UserError
from esprobe.methods import PERTURBATION, TEMPERATURE
from esprobe.plan.sweep import DRAWS, Sweep
from esprobe.plan.training import Training, trainings
from esprobe.report import pasting
from esprobe.report import render as rendering

if TYPE_CHECKING:
    from esprobe.engines.pool import Pool
    from esprobe.pipeline.train import Evaluation


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
    rank: RankOption = None,
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
        rank=rank,
        mixed=mixed,
        samples=samples_per_model,
        temperatures=tuple(temperature or ()),
    )


@app.command(epilog="Example: esprobe train --name es --iterations 20; esprobe sample-temp --model es@20 -T 0.8")
@training_command
def train(
    ctx: typer.Context,
    name: NameOption = "es",
    iterations: IterationsOption = 20,
    population: PopulationOption = 32,
    sigma: SigmaOption = 0.01,
    learning_rate: LearningRateOption = 0.005,
    half_life: HalfLifeOption = None,
    problems_per_iteration: ProblemsPerIterationOption = 64,
    reward: RewardOption = "correct",
    seed: SeedsOption = None,
    evaluate_every: EvaluateEveryOption = None,
    test_data: TestDataOption = None,
    temperature: TestTemperaturesOption = None,
    samples: TestSamplesOption = 8,
    **shared: Any,
) -> None:
    """Train a model by evolution strategies. Every member's rollouts are rows, every iteration a model, NAME@ITERATION."""
    _say_loading(ctx, shared)
    pool = _engines(shared)
    from esprobe.pipeline.train import evaluation

    wanted = trainings(
        seed or [Sweep.seed],
        name=name,
        iterations=iterations,
        population=population,
        sigma=sigma,
        learning_rate=learning_rate,
        half_life=half_life,
        problems_per_iteration=problems_per_iteration,
        reward=reward,
    )
    dry_run = shared.pop("dry_run")
    sweep = Sweep(PERTURBATION.name, (sigma,), population, greedy=False, training=True, **shared)
    tests = evaluation(sweep, evaluate_every, test_data, tuple(temperature or ()), samples)
    _train(ctx, wanted, sweep, tests, pool, dry_run)


def _say_loading(ctx: typer.Context, shared: dict[str, Any]) -> None:
    """At once and to people only, since the libraries alone take seconds to import; a log has the lines that follow."""
    from esprobe.cli.progress import Plain, on_terminal

    if not ctx.obj[1] and on_terminal():
        Plain().say(f"{rendering.shown(shared['model'])}: loading the model …")


def _check_folder() -> None:
    """Refuses a current folder that was removed: torch would end the whole process there without naming the cause."""
    try:
        os.getcwd()
    except OSError as error:
        raise UserError(f"the current folder cannot be used ({error.strerror}); change to another one") from None


def _engines(shared: dict[str, Any]) -> "Callable[[], Pool]":
    """What makes the pool that the shared options ask for; leaves in `shared` what a sweep takes."""
    _check_folder()
    from esprobe.engines.open import open_pool

    wanted = (shared.pop("engines"), shared.pop("ray_address"), shared.pop("engine_timeout"))
    del shared["preset"]  # already applied
    shared["task_options"] = tuple(_pair(word) for word in shared.pop("task_option") or ())
    return lambda: open_pool(*wanted)


def _sample(ctx: typer.Context, shared: dict[str, Any], **own: Any) -> None:
    _say_loading(ctx, shared)
    pool = _engines(shared)
    from esprobe.cli.progress import meter
    from esprobe.pipeline.machine import command_line
    from esprobe.pipeline.sample import elsewhere, sample

    checkpoint = elsewhere(shared.pop("trained_from"), shared.pop("rollouts_spent"))
    debug, greedy = shared.pop("debug"), not shared.pop("no_greedy")
    dry_run = shared.pop("dry_run")
    sweep = Sweep(**own, **shared, greedy=greedy)
    sweep = sweep.debug() if debug else sweep
    db, quiet = ctx.obj
    if dry_run:
        from esprobe.pipeline.outlook import outlook
        from esprobe.report.outlook import outlook_report

        print(outlook_report(outlook(sweep, db, pool())))
        return
    interruption.continues = True
    with meter(quiet) as shown:
        outcome = sample(sweep, db, command_line(), shown, pool(), checkpoint)
    if not quiet:
        print(counted(outcome.generated, outcome.asked, "rollouts generated") + _see())


def _train(
    ctx: typer.Context,
    wanted: list[Training],
    sweep: Sweep,
    tests: "Evaluation | None",
    pool: "Callable[[], Pool]",
    dry_run: bool,
) -> None:
    from esprobe.cli.progress import meter
    from esprobe.pipeline.machine import command_line
    from esprobe.pipeline.train import train_all

    db, quiet = ctx.obj
    if dry_run:
        from esprobe.pipeline.outlook import train_outlook
        from esprobe.report.outlook import outlook_report

        print(outlook_report(train_outlook(wanted, sweep, db, pool(), tests)))
        return
    interruption.continues = True
    with meter(quiet) as shown:
        outcomes = train_all(wanted, sweep, db, command_line(), shown, pool, tests)
    if not quiet:
        for outcome in outcomes:
            print(f"{outcome.model}: {outcome.generated:,} rollouts generated" + _see())


def _see() -> str:
    return f"; see: {rendering.shown(pasting.start())} report"


def _pair(word: str) -> tuple[str, str]:
    key, given, value = word.partition("=")
    if not given or not key:
        raise typer.BadParameter(f"--task-option must be KEY=VALUE, not {word!r}")
    return key, value
