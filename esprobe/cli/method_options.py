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
    typer.Option("--temperature", "-T", help=f"Temperature, above 0 (repeatable). [{', '.join(map(str, TEMPERATURE.defaults))}]"),
]
SamplesOption = Annotated[
    int,
    typer.Option(
        "--samples", "-n", min=1, max=MOST_DRAWS, envvar="ESPROBE_SAMPLES", help="Draws per problem at each temperature."
    ),
]
TopPOption = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        envvar="ESPROBE_TOP_P",
        help="Draw only from the most probable tokens, as few as have this share (above 0, at most 1) of the probability that "
        "--min-p and --top-k leave; default: all.",
    ),
]
TopKOption = Annotated[
    int | None,
    typer.Option(
        "--top-k", envvar="ESPROBE_TOP_K", help="Draw only from this many of the most probable tokens; default: 0, all."
    ),
]
MinPOption = Annotated[
    float | None,
    typer.Option(
        "--min-p",
        envvar="ESPROBE_MIN_P",
        help="Draw only from tokens at least this many times (0 to 1) as probable as the most probable one; default: all.",
    ),
]
SigmasOption = Annotated[
    list[float] | None,
    typer.Option(
        "--sigma",
        help=f"Standard deviation of the noise, above 0 (repeatable). [{', '.join(map(str, PERTURBATION.defaults))}]",
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
        help="Perturbed models, which are the draws, per σ; with --mixed, in all.",
    ),
]
NoiseOption = Annotated[
    NoiseScheme,
    typer.Option(
        "--noise",
        envvar="ESPROBE_NOISE",
        help="iid: independent for every weight; low-rank: for linear layers only, a product of two thin matrices; shared-seed: "
        "as published, correlated, since parameters of equal shape get identical noise.",
    ),
]
RankOption = Annotated[
    int | None, typer.Option("--rank", min=1, help="With --noise low-rank: the rank of the product; default: 1.")
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
    typer.Option("--temperature", "-T", help="Temperature at which perturbed models answer (repeatable); default: greedily."),
]

NameOption = Annotated[str, typer.Option("--name", help="What the trained models are called: NAME@1, NAME@2 and so on.")]
IterationsOption = Annotated[
    int, typer.Option("--iterations", min=1, envvar="ESPROBE_ITERATIONS", help="How often the weights are updated.")
]
PopulationOption = Annotated[
    int,
    typer.Option(
        "--population", min=2, max=MOST_DRAWS, envvar="ESPROBE_POPULATION", help="Perturbed models per iteration, its members."
    ),
]
SigmaOption = Annotated[float, typer.Option("--sigma", help="Standard deviation of the noise on every weight.")]
LearningRateOption = Annotated[
    float, typer.Option("--learning-rate", envvar="ESPROBE_LEARNING_RATE", help="Step size of an update.")
]
HalfLifeOption = Annotated[
    float | None,
    typer.Option(
        "--half-life", envvar="ESPROBE_HALF_LIFE", help="Iterations in which the learning rate halves; default: it stays."
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
    Reward,
    typer.Option(
        "--reward", envvar="ESPROBE_REWARD", help="What is maximised: the share of correct answers, or the scorer's reward."
    ),
]
SeedsOption = Annotated[
    list[int] | None,
    typer.Option(
        "--seed", min=0, help="Seed of noise and of the order of problems (repeatable, for models NAME-SEED@1 and so on). [42]"
    ),
]
EvaluateEveryOption = Annotated[
    int | None,
    typer.Option(
        "--evaluate-every",
        min=1,
        help="Evaluate the model after every N iterations; with this, --test-data or -T, also the base and the last model.",
    ),
]
TestDataOption = Annotated[
    Path | None,
    typer.Option("--test-data", envvar="ESPROBE_TEST_DATA", help="File of problems to evaluate on; default: the task's own."),
]
TestTemperaturesOption = Annotated[
    list[float] | None, typer.Option("--temperature", "-T", help="Evaluate at this temperature too (repeatable).")
]
TestSamplesOption = Annotated[
    int, typer.Option("--samples", "-n", min=1, max=MOST_DRAWS, help="Draws per test problem at each T.")
]
