"""What a sweep consists of: which arms, which draws, cut into which units of work.

Units are cut by the plan alone, never by what happens to be missing, so that a continued sweep repeats the same batches. They are
made on demand: a million draws cost no memory. Knows no model's files, engine or database.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from esprobe.arms import HASHED, MOST_DRAWS, SEED_BITS, TRUNCATIONS, Arm, NoiseScheme, Perturbation, Update, Weights, samples_of
from esprobe.bundled import BUNDLED
from esprobe.errors import UserError
from esprobe.methods import GREEDY, TEMPERATURE, MethodName, named
from esprobe.tasks.prompts import PromptFormat
from esprobe.tasks.registry import DEFAULT
from esprobe.tasks.texts import TEXT

DRAWS = 64
BATCH_SIZE = 128
LOOKED_AT = 64  # models of a mixed population among which one of a small σ is looked for


@dataclass(frozen=True)
class Sweep:
    """What the user asked for: one method over several values, the problems, and how the model is run.

    Of perturbed models only: `mixed` makes one population of all values, and `temperatures` draw `samples` answers from every
    model at each of them, where greedy decoding gives one; `draws` counts models. `top_p`, `top_k` and `min_p` are of temperature
    sampling only; `backend.Decoding` defines them.
    """

    method: MethodName
    values: tuple[float, ...] = ()  # T or σ; none means a short default sweep
    draws: int = DRAWS
    task: str = DEFAULT
    task_options: tuple[tuple[str, str], ...] = ()  # what the task's own problems shall be like
    model: str = BUNDLED
    model_name: str | None = None  # what a folder's model is called; none means the folder's last part
    backend: str = "auto"
    dtype: str = "auto"
    data: Path | None = None
    training: bool = False  # without data, the problems are those to train on, not the task's own
    prompt: PromptFormat = "chat"
    offset: int = 0
    limit: int | None = None
    max_new_tokens: int | None = None  # none means 64 for a bundled model, 1024 for others
    seed: int = 42
    noise: NoiseScheme = "iid"
    rank: int | None = None  # of `low-rank` noise; none means 1
    mixed: bool = False
    samples: int = 1
    temperatures: tuple[float, ...] = ()
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    greedy: bool = True
    batch_size: int = BATCH_SIZE
    tensor_parallel: int = 1  # GPUs of an engine

    def __post_init__(self) -> None:
        """Raises UserError for values that no sweep can have."""
        method = named(self.method)
        values = self.values or method.defaults
        object.__setattr__(self, "values", tuple(dict.fromkeys(float(v) + 0.0 for v in values)))  # −0.0 is 0
        for value in self.values:
            if line := method.refusal(value):
                raise UserError(line)
        object.__setattr__(self, "temperatures", tuple(dict.fromkeys(map(float, self.temperatures))))
        if method.shares_draws:
            self._check_models()
        if not 0 <= self.seed < 1 << SEED_BITS:
            raise UserError(f"--seed must be from 0 to 2^{SEED_BITS} − 1, not {self.seed}")
        self._check_truncation()

    def _check_models(self) -> None:
        for value, other in pairwise(sorted(self.values)):
            if struct.pack("f", value) == struct.pack("f", other):  # noise is made in float32
                raise UserError(f"σ {value!r} and {other!r} make the same perturbed models; give one of them")
        if self.mixed and len(self.values) < 2:
            raise UserError("--mixed draws every model's σ from several; give at least two, as in --sigma 0.001,0.003")
        for temperature in self.temperatures:
            if line := TEMPERATURE.refusal(temperature):
                raise UserError(line)
        if self.rank is not None and (self.noise != "low-rank" or self.rank < 1):
            raise UserError("--rank is a whole number from 1, of --noise low-rank only")
        if self.samples > 1 and not self.temperatures:
            raise UserError("greedy decoding gives the same answer every time; give --samples-per-model a temperature with -T")
        if self.samples > 1 and self.draws * self.samples > MOST_DRAWS:
            raise UserError(f"{self.draws:,} models × {self.samples:,} samples are more than {MOST_DRAWS:,} draws of an arm")

    def _check_truncation(self) -> None:
        """Raises UserError for values that none of the three can have. Those that exclude nothing (1, 0 and 0) are none."""
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UserError(f"--top-p must be above 0 and at most 1, not {self.top_p:g}")
        if self.top_k is not None and self.top_k < 0:
            raise UserError(f"--top-k must be at least 1, or 0 to exclude no token, not {self.top_k}")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise UserError(f"--min-p must be from 0 to 1, not {self.min_p:g}")
        object.__setattr__(self, "top_p", None if self.top_p is None or self.top_p == 1 else float(self.top_p))
        object.__setattr__(self, "top_k", self.top_k or None)
        object.__setattr__(self, "min_p", float(self.min_p) if self.min_p else None)
        if self.method != TEMPERATURE.name and self.truncation():
            raise UserError("--top-p, --top-k and --min-p are for temperature sampling; perturbed models take none of them")

    def truncation(self) -> dict[str, float | int]:
        """Those of top_p, top_k and min_p that are on, as settings of an arm."""
        return {name: value for name in TRUNCATIONS if (value := getattr(self, name)) is not None}

    def debug(self) -> "Sweep":
        """The same sweep made small: 32 problems, the first value only (of a mixed population all), 32 draws."""
        return replace(self, limit=32, values=self.values if self.mixed else self.values[:1], draws=32)


@dataclass(frozen=True, eq=False)
class PlannedArm:
    """An arm with the number of draws asked for; `updates` are those of a trained model, from its root on."""

    arm: Arm
    draws: int
    updates: tuple[Update, ...] = ()

    def perturbation(self, draw: int) -> Perturbation | None:
        """The perturbation of a draw in a perturbation arm, none in any other arm."""
        return self.arm.perturbation(draw)

    def weights(self, draw: int) -> Weights:
        """The weights of a draw: those of a perturbed model in a perturbation arm, the arm's model in any other arm."""
        return Weights(self.updates, self.perturbation(draw))

    @cached_property
    def measured(self) -> int | None:
        """The draw of which it is measured what rounding leaves of the perturbation; None in an arm that has none.

        Of the first models it is the first with the smallest σ, of which rounding leaves least.
        """
        samples = samples_of(self.arm.settings)
        made = [
            (p.sigma, draw) for draw in range(0, min(self.draws, LOOKED_AT * samples), samples) if (p := self.perturbation(draw))
        ]
        return min(made)[1] if made else None


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
    common = _common(sweep, task, resolved)

    def planned(method: MethodName, value: float | None, draws: int, own: Mapping[str, Any]) -> PlannedArm:
        return PlannedArm(Arm(resolved.model, resolved.model_digest, method, value, {**common, **own}), draws)

    greedy = [planned(GREEDY.name, None, 1, {})] if sweep.greedy else []
    if not named(sweep.method).shares_draws:
        own = {"seed": sweep.seed, **sweep.truncation()}
        return greedy + [planned(sweep.method, value, sweep.draws, own) for value in sweep.values]
    populations: list[tuple[float | None, dict[str, Any]]] = [(value, {}) for value in sweep.values]
    if sweep.mixed:
        populations = [(None, {"sigmas": sorted(sweep.values)})]
    decodings = [{"samples": sweep.samples, TEMPERATURE.name: t} for t in sweep.temperatures] or [{}]
    return greedy + [
        planned(sweep.method, value, sweep.draws * sweep.samples, _noise(sweep, resolved) | population | decoding)
        for value, population in populations
        for decoding in decodings
    ]


def _common(sweep: Sweep, task: str, resolved: Resolved) -> dict[str, Any]:
    """The settings of every arm of the sweep."""
    return {
        "task": task,
        **resolved.prompts,
        "end_ids": sorted(set(resolved.end_ids)),
        "text": TEXT,
        "max_new_tokens": sweep.max_new_tokens or resolved.new_tokens,
        "backend": resolved.backend,
        "dtype": resolved.dtype,
    }


def _noise(sweep: Sweep, resolved: Resolved) -> dict[str, Any]:
    """The settings that say how perturbations are made."""
    made: dict[str, Any] = {"seed": sweep.seed, "noise": sweep.noise}
    if sweep.noise == "low-rank":
        made["rank"] = sweep.rank or 1
    return made | ({"seeds": f"{SEED_BITS} bits"} if sweep.noise in HASHED else {"device": resolved.device})


def units(planned: PlannedArm, problems: int, batch_size: int) -> Iterator[Unit]:
    """Cuts an arm into units of at most `batch_size` rollouts, in order of draws.

    Several draws of few problems share a batch where they have the same weights: those of one perturbed model, or all of a
    temperature arm, whose blocks may reach beyond the last draw asked for, so that extending the arm later cuts it in the same
    places.
    """
    fitting = max(1, batch_size // problems)
    alike = samples_of(planned.arm.settings) if planned.arm.method != TEMPERATURE.name else fitting
    for model in range(0, planned.draws, alike):
        for draw in range(model, model + alike, fitting):
            draws = range(draw, min(draw + fitting, model + alike))
            for start in range(0, problems, batch_size):
                yield Unit(planned, draws, range(start, min(start + batch_size, problems)))
