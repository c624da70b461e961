"""The options of the sampling commands, declared once; how a preset changes their defaults; where global options may be.

Knows option names and their help. Knows nothing of what a command does with them.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from esprobe.cli.help import options_by_group, page
from esprobe.cli.presets.load import load_preset
from esprobe.errors import UserError
from esprobe.plan.sweep import BATCH_SIZE, Sweep
from esprobe.tasks.prompts import PromptFormat
from esprobe.tasks.registry import DEFAULT, known_tasks

DType = Literal["auto", "float32", "bfloat16", "float16"]
Backend = Literal["auto", "transformers", "vllm"]


def _apply_preset(ctx: typer.Context, name: str | None) -> str | None:
    """Makes a preset's values the defaults: the command line and the environment still win."""
    if name is not None:
        options = {param.opts[0].lstrip("-"): param for param in ctx.command.params if param.opts}
        defaults = dict(ctx.default_map or {})
        for key, value in load_preset(name, str(ctx.info_name)).items():
            if key not in options:
                raise UserError(f"preset {name}: {key!r} is not an option of esprobe {ctx.info_name}")
            several = getattr(options[key], "multiple", False) and not isinstance(value, list)
            defaults[str(options[key].name)] = [value] if several else value
        ctx.default_map = defaults
    return name


TaskOption = Annotated[
    str,
    typer.Option(
        "--task", envvar="ESPROBE_TASK", help=f"Kind of problem: {', '.join(known_tasks())} (any data set of reasoning-gym)."
    ),
]
TaskOptionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--task-option",
        metavar="KEY=VALUE",
        envvar="ESPROBE_TASK_OPTION",
        help="Setting of a data set of reasoning-gym (repeatable), such as seed=1 or min_words=3.",
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        envvar="ESPROBE_MODEL",
        help="Hugging Face name, folder, trained model of the database (NAME@ITERATION), or bundled: countdown-tiny, "
        "countdown-tiny-base, countdown-tiny-es.",
    ),
]
ModelNameOption = Annotated[
    str | None,
    typer.Option("--name", envvar="ESPROBE_NAME", help="What a folder's model is called; default: the last part of its path."),
]
TrainedFromOption = Annotated[
    str | None,
    typer.Option(
        "--trained-from", envvar="ESPROBE_TRAINED_FROM", help="For a model that was trained elsewhere: the one it was made from."
    ),
]
SpentOption = Annotated[
    int | None,
    typer.Option(
        "--rollouts-spent",
        min=0,
        envvar="ESPROBE_ROLLOUTS_SPENT",
        help="With --trained-from: how many rollouts that training took, for `report --budget`.",
    ),
]
BackendOption = Annotated[
    Backend,
    typer.Option(
        "--backend",
        metavar="NAME",
        envvar="ESPROBE_BACKEND",
        help="transformers or vllm; auto: vllm where it is installed, but not for a bundled model on a CPU.",
    ),
]
DTypeOption = Annotated[
    DType,
    typer.Option(
        "--dtype",
        metavar="NAME",
        envvar="ESPROBE_DTYPE",
        help="Number format of the weights: float32, bfloat16 or float16; auto: float32 on a CPU, the checkpoint's own on a GPU.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="ESPROBE_DATA",
        help="File of problems: JSON, JSON Lines or CSV; default: the task's own, for `train` other ones.",
    ),
]
TrainingProblemsOption = Annotated[
    bool, typer.Option("--training-problems", help="Take the problems that `train` takes by default, not the task's own.")
]
PromptOption = Annotated[
    PromptFormat,
    typer.Option(
        "--prompt", envvar="ESPROBE_PROMPT", help="Whether the model's chat template renders the problem, or it is plain text."
    ),
]
OffsetOption = Annotated[int, typer.Option("--offset", min=0, help="First problem to take, counted from 0.")]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="How many problems to take; default: all.")]
TokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-new-tokens",
        min=1,
        envvar="ESPROBE_MAX_NEW_TOKENS",
        help="Tokens per rollout, at most; default: 64 for a bundled model, 1024 for others.",
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, envvar="ESPROBE_SEED", help="Base seed, from which every draw has its own.")
]
GreedyOption = Annotated[bool, typer.Option("--no-greedy", help="Leave out the greedy baseline, one draw per problem.")]
BatchOption = Annotated[
    int,
    typer.Option(
        "--batch-size", min=1, max=65_536, envvar="ESPROBE_BATCH_SIZE", help="Rollouts generated and written together, at most."
    ),
]
EnginesOption = Annotated[
    int,
    typer.Option(
        "--engines", min=1, envvar="ESPROBE_ENGINES", help="Engines that work at once, one per GPU; more than one needs Ray."
    ),
]
TensorOption = Annotated[
    int,
    typer.Option(
        "--tensor-parallel",
        min=1,
        envvar="ESPROBE_TENSOR_PARALLEL",
        help="How many GPUs one engine spans, for a model too large for one; vllm only.",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT",
        envvar="ESPROBE_RAY_ADDRESS",
        help="Ray cluster to run the engines on; default: this machine.",
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--engine-timeout",
        min=1,
        envvar="ESPROBE_ENGINE_TIMEOUT",
        help="Seconds without an answer after which one of several engines is replaced; default: 20 times the slowest unit of "
        "work so far, at least 300.",
    ),
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        callback=_apply_preset,
        is_eager=True,
        envvar="ESPROBE_PRESET",
        help="Settings by name (paper, es-at-scale, countdown-tiny-es) or from a .toml file; other options override them.",
    ),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="A small trial: 32 problems, 32 draws, the first T or σ alone.")]

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be generated, and about how long it would take.")
]


def _shared(
    task: TaskOption = DEFAULT,
    task_option: TaskOptionOption = None,
    model: ModelOption = Sweep.model,
    model_name: ModelNameOption = None,
    trained_from: TrainedFromOption = None,
    rollouts_spent: SpentOption = None,
    backend: BackendOption = "auto",
    dtype: DTypeOption = "auto",
    data: DataOption = None,
    training: TrainingProblemsOption = False,
    prompt: PromptOption = "chat",
    offset: OffsetOption = 0,
    limit: LimitOption = None,
    max_new_tokens: TokensOption = None,
    seed: SeedOption = Sweep.seed,
    no_greedy: GreedyOption = False,
    batch_size: BatchOption = BATCH_SIZE,
    engines: EnginesOption = 1,
    tensor_parallel: TensorOption = 1,
    ray_address: RayOption = None,
    engine_timeout: TimeoutOption = None,
    preset: PresetOption = None,
    debug: DebugOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """The parameters that `sampling_command` adds."""


# The groups of `--help`; what is in none of them is about the sweep.
_PANELS = {
    "Problems": ("task", "task_option", "data", "training", "offset", "limit", "prompt", "test_data"),
    "Model": ("model", "model_name", "trained_from", "rollouts_spent", "backend", "dtype", "max_new_tokens"),
    "Engines": ("engines", "tensor_parallel", "ray_address", "engine_timeout", "batch_size"),
}
# How `--help` lists the commands: in the order of their use.
_COMMANDS = {
    "Generate rollouts": ("sample-temp", "sample-perturb", "train"),
    "Look at results": ("report", "explore", "arms", "runs", "sql"),
    "Change the database": ("score", "import", "merge", "delete"),
    "Use with other programs": ("export-model", "datasette-metadata"),
}


def sampling_command(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the shared options to a command, in groups; they reach it as keyword arguments."""
    return _with_shared(command, set())


def training_command(command: Callable[..., None]) -> Callable[..., None]:
    """The same for training, which has seeds of its own and no baseline."""
    return _with_shared(command, {"seed", "no_greedy", "debug", "training", "model_name", "trained_from", "rollouts_spent"})


def _with_shared(command: Callable[..., None], without: set[str]) -> Callable[..., None]:
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    shared = [p for p in inspect.signature(_shared).parameters.values() if p.name not in without]
    panels = {name: panel for panel, names in _PANELS.items() for name in names}
    for parameter in (*own[1:], *shared):  # the first is typer's context
        option = parameter.annotation.__metadata__[0]
        option.rich_help_panel = panels.get(parameter.name, "Sweep")
    command.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*own, *shared)} | {"return": None}
    return command


class Commands(TyperGroup):
    """Accepts the global options after the command as well as before it, and several values at once for a repeatable option."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the page: the commands in the order of their use, then the global options."""
        commands = {
            title: [(name, _first_sentence(self.commands[name])) for name in names if name in self.commands]
            for title, names in _COMMANDS.items()
        }
        formatter.write(page(self, ctx, commands | options_by_group(self.get_params(ctx))))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Moves the global options to the front, and writes `-T 0.4,0.8` as `-T 0.4 -T 0.8`."""
        first, rest = [], []
        words = iter(args)
        for word in words:
            if word == "--":
                rest += [word, *words]
            elif word in ("--quiet", "--version") or word.startswith("--db="):
                first.append(word)
            elif word == "--db":
                first += [word, *[next(words, "")]]
            else:
                rest.append(word)
        command = self.commands.get(rest[0]) if rest else None
        if command is not None:
            rest = [rest[0], *_one_by_one(command, rest[1:])]
        return super().parse_args(ctx, first + rest)


def _first_sentence(command: Any) -> str:
    return " ".join((command.help or "").split()).partition(". ")[0].rstrip(".") + "."


def _one_by_one(command: Any, args: list[str]) -> Iterator[str]:
    """The words, with every repeatable option written once per value."""
    several = [option for option in command.params if getattr(option, "multiple", False) and option.name != "task_option"]
    repeatable = {name for option in several for name in option.opts}  # a task's option may itself be a list
    words = iter(args)
    for word in words:
        name, given, value = word.partition("=")
        if word == "--":
            yield from (word, *words)
        elif word in repeatable:
            for piece in next(words, "").split(","):
                yield from (word, piece)
        elif given and name in repeatable:
            yield from (f"{name}={piece}" for piece in value.split(","))
        elif word[:2] in repeatable and not word.startswith("--"):
            yield from (word[:2] + piece for piece in word[2:].split(","))
        else:
            yield word
