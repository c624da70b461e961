"""What a sweep consists of: which arms, which draws, cut into which units of work.

Units are cut by the plan alone, never by what happens to be missing, so that a continued sweep repeats the same batches. Knows no
model, backend or database.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from esprobe.arms import Arm, NoiseScheme, perturbation_seeds
from esprobe.errors import UserError
from esprobe.models import BUNDLED, ModelFiles
from esprobe.prompts import PromptFormat
from esprobe.task import Task

TEMPERATURES = (0.4, 0.8, 1.2)
SIGMAS = (0.003, 0.01, 0.02)
DRAWS = 64
BUNDLED_NEW_TOKENS = 64
NEW_TOKENS = 1024
BATCH_SIZE = 128


@dataclass(frozen=True)
class Sweep:
    """What the user asked for: one method over several values, the problems, and how the model is run."""

    method: Literal["temperature", "perturbation"]
    values: tuple[float, ...] = ()  # T or σ; none means a short default sweep
    draws: int = DRAWS
    model: str = BUNDLED
    backend: str = "auto"
    dtype: str = "auto"
    data: Path | None = None
    prompt: PromptFormat = "chat"
    offset: int = 0
    limit: int | None = None
    max_new_tokens: int | None = None  # none means 64 for the bundled model, 1024 for others
    seed: int = 42
    noise: NoiseScheme = "iid"
    greedy: bool = True
    batch_size: int = BATCH_SIZE

    def __post_init__(self) -> None:
        """Raises UserError for values that no sweep can have."""
        values = self.values or (TEMPERATURES if self.method == "temperature" else SIGMAS)
        object.__setattr__(self, "values", tuple(dict.fromkeys(float(v) for v in values)))
        for value in self.values:
            if self.method == "temperature" and not 0 < value < 1000:
                raise UserError(f"a temperature must be above 0 (and below 1000), not {value:g}; T = 0 is the greedy baseline")
            if self.method == "perturbation" and not 0 <= value < 1000:
                raise UserError(f"σ must be 0 or above (and below 1000), not {value:g}")

    def debug(self) -> "Sweep":
        """A small version of the same: 32 problems, the first value only, 32 draws."""
        from dataclasses import replace

        return replace(self, limit=32, values=self.values[:1], draws=32)


@dataclass(frozen=True)
class PlannedArm:
    """An arm with the number of draws asked for; `seeds` are the perturbations' in draw order, none for other methods."""

    arm: Arm
    draws: int
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Unit:
    """Work done in one batch and written in one transaction: some draws of an arm × some of the sweep's problems."""

    draws: range
    problems: range  # positions in the sweep's list of problems


def plan_arms(sweep: Sweep, task: Task, model: ModelFiles, backend: str, dtype: str) -> list[PlannedArm]:
    """The arms of a sweep, the greedy baseline first. `backend` and `dtype` are the resolved ones."""
    default_tokens = BUNDLED_NEW_TOKENS if model.name == BUNDLED else NEW_TOKENS
    common: dict[str, Any] = {
        "task": task.name,
        "prompt": sweep.prompt,
        "prompt_digest": task.prompt_digest(),
        "max_new_tokens": sweep.max_new_tokens or default_tokens,
        "backend": backend,
        "dtype": dtype,
    }
    planned = []
    if sweep.greedy:
        planned.append(PlannedArm(_arm(model, "greedy", None, common), 1))
    for value in sweep.values:
        if sweep.method == "temperature":
            planned.append(PlannedArm(_arm(model, "temperature", value, common | {"seed": sweep.seed}), sweep.draws))
        else:
            settings = common | {"seed": sweep.seed, "noise": sweep.noise}
            seeds = tuple(perturbation_seeds(sweep.noise, sweep.seed, sweep.draws))
            planned.append(PlannedArm(_arm(model, "perturbation", value, settings), sweep.draws, seeds))
    return planned


def _arm(
    model: ModelFiles,
    method: Literal["greedy", "temperature", "perturbation"],
    value: float | None,
    settings: Mapping[str, Any],
) -> Arm:
    return Arm(model.name, model.digest, method, value, settings)


def units(planned: PlannedArm, problems: int, batch_size: int) -> Iterator[Unit]:
    """Cuts an arm into units of at most `batch_size` rollouts, in order of draws.

    A draw of a perturbation arm is a model of its own, so no unit spans two. In other arms several draws of few problems
    share a batch; such blocks are aligned to draw 0 and may reach beyond the last draw asked for, so that extending the arm
    later cuts it in the same places.
    """
    together = 1 if planned.seeds or problems >= batch_size else batch_size // problems
    if planned.arm.method == "greedy":
        together = 1
    for draw in range(0, planned.draws, together):
        for start in range(0, problems, batch_size):
            yield Unit(range(draw, draw + together), range(start, min(start + batch_size, problems)))
