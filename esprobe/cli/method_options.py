"""The options of one sampling command alone: of a temperature sweep, of perturbations, of training.

Knows option names and their help. Must not know what a command does with them.
"""

from pathlib import Path
from typing import Annotated

import typer

from esprobe.arms import MOST_DRAWS, NoiseScheme
from esprobe.methods import PERTURBATION, TEMPERATURE
from esprobe.plan.training import Reward

TemperaturesOption = Annotated[
    list[float] | None,
    typer.Option(
        "--temperature", "-T", help=f"Temperature (repeatable); {', '.join(map(str, TEMPERATURE.defaults))} without it."
    ),
]
SamplesOption = Annotated[
    int, typer.Option("--samples", "-n", min=1, max=MOST_DRAWS, envvar="ESPROBE_SAMPLES", help="Draws per problem.")
]
TopPOption = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        envvar="ESPROBE_TOP_P",
        help="Draw from the most probable tokens, as few as have this share (above 0, at most 1) of the probability left by "
        "--min-p and --top-k.",
    ),
]
TopKOption = Annotated[
    int | None,
    typer.Option("--top-k", envvar="ESPROBE_TOP_K", help="Draw from this many of the most probable tokens; 0: from all."),
]
MinPOption = Annotated[
    float | None,
    typer.Option(
        "--min-p",
        envvar="ESPROBE_MIN_P",
        help="Draw from tokens at least this (from 0 to 1) times as probable as the most probable one.",
    ),
]
SigmasOption = Annotated[
    list[float] | None,
    typer.Option(
        "--sigma",
        help=f"Standard deviation of the noise (repeatable); {', '.join(map(str, PERTURBATION.defaults))} without it.",
    ),
]
PerturbationsOption = Annotated[
    int,
    typer.Option(
        "--perturbations",
        "-n",
        min=1,
        max=MOST_DRAWS,
        envvar="ESPROBE_PERTURBATIONS",
        help="Perturbed models per σ; with --mixed, of all σ together.",
    ),
]
NoiseOption = Annotated[
    NoiseScheme,
    typer.Option(
        "--noise",
        envvar="ESPROBE_NOISE",
        help="iid: independent for every weight. low-rank: for linear layers only, a product of two thin matrices. "
        "shared-seed: the published scheme, correlated: parameters of equal shape get identical noise.",
    ),
]
RankOption = Annotated[
    int | None, typer.Option("--rank", min=1, help="Of --noise low-rank: the rank of the product; 1 without it.")
]
MixedOption = Annotated[
    bool, typer.Option("--mixed", help="One population of perturbed models, the σ of each drawn from the values of --sigma.")
]
SamplesPerModelOption = Annotated[
    int,
    typer.Option(
        "--samples-per-model",
        min=1,
        max=MOST_DRAWS,
        envvar="ESPROBE_SAMPLES_PER_MODEL",
        help="Answers per problem from each perturbed model, at the temperature of -T.",
    ),
]
ModelTemperaturesOption = Annotated[
    list[float] | None,
    typer.Option("--temperature", "-T", help="Temperature of the perturbed models (repeatable); greedy without it."),
]

NameOption = Annotated[str, typer.Option("--name", help="What the trained models are called: NAME@1, NAME@2 and so on.")]
IterationsOption = Annotated[
    int, typer.Option("--iterations", min=1, envvar="ESPROBE_ITERATIONS", help="How often the weights are updated.")
]
PopulationOption = Annotated[
    int,
    typer.Option("--population", min=2, max=MOST_DRAWS, envvar="ESPROBE_POPULATION", help="Perturbed models per iteration."),
]
SigmaOption = Annotated[float, typer.Option("--sigma", help="Standard deviation of their noise.")]
LearningRateOption = Annotated[float, typer.Option("--learning-rate", envvar="ESPROBE_LEARNING_RATE", help="Step of an update.")]
HalfLifeOption = Annotated[
    float | None,
    typer.Option(
        "--half-life", envvar="ESPROBE_HALF_LIFE", help="Iterations after which the learning rate is half; without it, it stays."
    ),
]
ProblemsPerIterationOption = Annotated[
    int,
    typer.Option(
        "--problems-per-iteration",
        min=1,
        envvar="ESPROBE_PROBLEMS_PER_ITERATION",
        help="Training problems per iteration.",
    ),
]
RewardOption = Annotated[
    Reward, typer.Option("--reward", envvar="ESPROBE_REWARD", help="What is maximised: right answers, or the reward.")
]
SeedsOption = Annotated[
    list[int] | None,
    typer.Option("--seed", min=0, help="Seed of noise and order (repeatable, for models NAME-SEED@1 and so on); 42 without it."),
]
EvaluateEveryOption = Annotated[
    int | None,
    typer.Option(
        "--evaluate-every",
        min=1,
        help="Evaluate the model every so many iterations. Base and last model are where this, --test-data or -T is given.",
    ),
]
TestDataOption = Annotated[
    Path | None,
    typer.Option("--test-data", envvar="ESPROBE_TEST_DATA", help="Problems to evaluate on; without it the task's own."),
]
TestTemperaturesOption = Annotated[
    list[float] | None, typer.Option("--temperature", "-T", help="Evaluate at this temperature too (repeatable).")
]
TestSamplesOption = Annotated[int, typer.Option("--samples", "-n", min=1, max=MOST_DRAWS, help="Draws per test problem and T.")]
