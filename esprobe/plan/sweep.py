"""What a sweep consists of: which arms, which draws, cut into which units of work.

Units are cut by the plan alone, never by what happens to be missing, so that a continued sweep repeats the same batches. They are
made on demand: a million draws cost no memory. Knows no model's files, engine or database.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from esprobe.arms import SEED_BITS, Arm, NoiseScheme, Perturbation, Update, Weights, perturbation_seed
from esprobe.bundled import BUNDLED
from esprobe.errors import UserError
from esprobe.methods import GREEDY, TEMPERATURE, MethodName, named
from esprobe.tasks.prompts import PromptFormat
from esprobe.tasks.texts import TEXT

DRAWS = 64
BATCH_SIZE = 128


@dataclass(frozen=True)
class Sweep:
    """What the user asked for: one method over several values, the problems, and how the model is run."""

    method: MethodName
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
        method = named(self.method)
        values = self.values or method.defaults
        object.__setattr__(self, "values", tuple(dict.fromkeys(float(v) + 0.0 for v in values)))  # −0.0 is 0
        for value in self.values:
            if line := method.refusal(value):
                raise UserError(line)
        if method.shares_draws:
            for value, other in pairwise(sorted(self.values)):
                if struct.pack("f", value) == struct.pack("f", other):  # noise is made in float32
                    raise UserError(f"σ {value!r} and {other!r} make the same perturbed models; give one of them")
        if not 0 <= self.seed < 1 << SEED_BITS:
            raise UserError(f"--seed must be from 0 to 2^{SEED_BITS} − 1, not {self.seed}")

    def debug(self) -> "Sweep":
        """The same sweep made small: 32 problems, the first value only, 32 draws."""
        return replace(self, limit=32, values=self.values[:1], draws=32)


@dataclass(frozen=True, eq=False)
class PlannedArm:
    """An arm with the number of draws asked for; `updates` are those of a trained model, from its root on."""

    arm: Arm
    draws: int
    updates: tuple[Update, ...] = ()

    def perturbation(self, draw: int) -> Perturbation | None:
        """The perturbation of a draw: another one for each draw of a perturbation arm, none in any other arm."""
        if not self.arm.shares_draws:
            return None
        scheme, base_seed = self.arm.settings["noise"], self.arm.settings["seed"]
        return Perturbation(scheme, perturbation_seed(scheme, base_seed, draw), float(self.arm.value or 0.0))

    def weights(self, draw: int) -> Weights:
        """The weights of a draw: another model for each draw of a perturbation arm, the arm's model in any other arm."""
        return Weights(self.updates, self.perturbation(draw))


@dataclass(frozen=True)
class Unit:
    """The one record of a unit of work on its way from the plan to the database: some draws of an arm × some of the problems.

    It is done in one batch and written in one transaction. `wanted`: the rollouts that are lacking, as (draw, position of the
    problem). `measure`: what rounding leaves of the perturbation is wanted as well.
    """

    arm: PlannedArm
    draws: range
    problems: range  # positions in the sweep's list of problems
    wanted: frozenset[tuple[int, int]] = frozenset()
    measure: bool = False

    @property
    def weights(self) -> Weights:
        """What all of it is generated with; no unit spans two perturbed models."""
        return self.arm.weights(self.draws.start)

    def cells(self) -> list[tuple[int, int]]:
        """(draw, position of the problem) in the order of the batch."""
        return [(draw, i) for draw in self.draws for i in self.problems]


@dataclass(frozen=True)
class Resolved:
    """What a sweep runs on once model and `auto` are resolved, as far as it changes the distribution."""

    model: str
    model_digest: str  # identifies the content of its files
    new_tokens: int  # the longest generation where the sweep does not say
    backend: str
    dtype: str
    prompts: Mapping[str, Any]  # what identifies the rendering of prompts (`Prompter.identity`)
    end_ids: tuple[int, ...]  # tokens that end a generation
    device: str = "cpu"  # whose generator makes the noise of `shared-seed`


def plan_arms(sweep: Sweep, task: str, resolved: Resolved) -> list[PlannedArm]:
    """The arms of a sweep, the greedy baseline first."""
    common: dict[str, Any] = {
        "task": task,
        **resolved.prompts,
        "end_ids": sorted(set(resolved.end_ids)),
        "text": TEXT,
        "max_new_tokens": sweep.max_new_tokens or resolved.new_tokens,
        "backend": resolved.backend,
        "dtype": resolved.dtype,
    }
    noise: dict[str, Any] = {"seed": sweep.seed, "noise": sweep.noise}
    if sweep.noise == "iid":
        noise["seeds"] = f"{SEED_BITS} bits"
    else:
        noise["device"] = resolved.device
    own = noise if named(sweep.method).shares_draws else {"seed": sweep.seed}

    def arm(method: MethodName, value: float | None, settings: dict[str, Any]) -> Arm:
        return Arm(resolved.model, resolved.model_digest, method, value, settings)

    greedy = [PlannedArm(arm(GREEDY.name, None, common), 1)] if sweep.greedy else []
    return greedy + [PlannedArm(arm(sweep.method, value, common | own), sweep.draws) for value in sweep.values]


def units(planned: PlannedArm, problems: int, batch_size: int) -> Iterator[Unit]:
    """Cuts an arm into units of at most `batch_size` rollouts, in order of draws.

    Every draw of a perturbation arm is another model, so no unit spans two. In other arms several draws of few problems
    share a batch; such blocks are aligned to draw 0 and may reach beyond the last draw asked for, so that extending the arm
    later cuts it in the same places.
    """
    together = 1 if planned.arm.method != TEMPERATURE.name or problems >= batch_size else batch_size // problems
    for draw in range(0, planned.draws, together):
        for start in range(0, problems, batch_size):
            yield Unit(planned, range(draw, draw + together), range(start, min(start + batch_size, problems)))
