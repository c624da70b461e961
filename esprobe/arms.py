"""What an arm is, which weights a model may have, and how both are identified; the seeds of draws.

The one place that computes identities. Knows neither models' insides nor the database.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from pathlib import PurePath
from typing import Any, Literal, Self

from esprobe.errors import UserError
from esprobe.methods import TEMPERATURE, MethodName, named

NoiseScheme = Literal["iid", "shared-seed", "low-rank"]
HASHED: tuple[NoiseScheme, ...] = ("iid", "low-rank")  # schemes whose seeds are a hash of base seed and draw
MOST_DRAWS = 1_000_000  # of an arm
SEED_BITS = 53  # the whole numbers that a double represents exactly
TRUNCATIONS = ("top_p", "top_k", "min_p")  # settings of temperature arms, present only where on; see `backend.Decoding`


@dataclass(frozen=True)
class Perturbation:
    """One perturbed model: every weight becomes base + σ·noise(scheme, seed); of `low-rank`, every one of a linear layer."""

    scheme: NoiseScheme
    seed: int
    sigma: float
    rank: int = 0  # of `low-rank` noise


@dataclass(frozen=True)
class Update:
    """One step of a training: every weight becomes base + Σ cᵢ·noise(scheme, seedᵢ), summed in this order, in float32.

    The noise is `iid` alone: that of `shared-seed` depends on how a backend lays out its parameters, so that one update would
    make different models, and of `low-rank` one backend alone has any. Raises UserError.
    """

    seeds: tuple[int, ...]
    coefficients: tuple[float, ...]
    scheme: NoiseScheme = "iid"

    def __post_init__(self) -> None:
        """Plain numbers, −0.0 as 0, so that one update has one record."""
        object.__setattr__(self, "seeds", tuple(map(int, self.seeds)))
        object.__setattr__(self, "coefficients", tuple(float(c) + 0.0 for c in self.coefficients))
        if self.scheme != "iid":
            raise UserError(f"noise {self.scheme!r} is not the same on every backend, so it makes no update; train with iid")
        if len(self.seeds) != len(self.coefficients) or not all(map(isfinite, self.coefficients)):
            raise ValueError(f"{len(self.seeds)} seeds and {len(self.coefficients)} coefficients, all finite, make no update")

    def record(self) -> dict[str, Any]:
        """As plain JSON: what the database keeps of a trained model, and what goes to other processes."""
        return {"scheme": self.scheme, "seeds": list(self.seeds), "coefficients": list(self.coefficients)}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """The update of such a record."""
        return cls(record["seeds"], record["coefficients"], record["scheme"])


@dataclass(frozen=True)
class Weights:
    """Which weights a model is wanted with: its own, after the updates of a training in their order, then perturbed.

    Without either it is the model as its files have it (`BASE`).
    """

    updates: tuple[Update, ...] = ()
    perturbation: Perturbation | None = None

    def __hash__(self) -> int:
        """The hash of the last update alone: it need not read a long training."""
        return hash((len(self.updates), self.updates[-1:], self.perturbation))


BASE = Weights()


def trained_name(name: str) -> tuple[str, int | None]:
    """The training and the iteration that a model's name NAME@ITERATION says; (name, None) for any other name."""
    stem, at, iteration = name.rpartition("@")
    return (stem, int(iteration)) if at and iteration.isdecimal() else (name, None)


def called(model: str) -> str:
    """What a model is called where others read it: of a folder's path its last part, of any other name all of it."""
    path = PurePath(model)
    return path.name if path.is_absolute() and path.name else model


def trained_digest(digest: str, updates: Iterable[Update]) -> str:
    """Identifies the model that the updates make of the one with `digest`: SHA-256, 32 hex digits; without updates, `digest`.

    Each update is counted in by itself, so a model's digest follows from its parent's and the last update: any way of cutting a
    training into models gives the same.
    """
    for update in updates:
        text = json.dumps([digest, update.record()], sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return digest


@dataclass(frozen=True)
class Arm:
    """One setting that rollouts are drawn from.

    `model_digest` identifies the weights and the tokenizer, `model` is only their name. `value` is T or σ, None for greedy.
    `settings` has everything else that changes the distribution, as plain JSON; a new method needs no new column.
    """

    model: str
    model_digest: str
    method: MethodName
    value: float | None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """−0.0 is 0, so that one value is one arm."""
        if self.value is not None:
            object.__setattr__(self, "value", float(self.value) + 0.0)

    @property
    def digest(self) -> str:
        """Identifies the arm by exactly what changes its distribution: SHA-256, 32 hex digits."""
        identity = [self.model_digest, self.method, self.value, dict(self.settings)]
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def shares_draws(self) -> bool:
        """Whether a draw is one perturbed model that answers all problems."""
        return named(self.method).shares_draws

    @property
    def temperature(self) -> float:
        """At which tokens are drawn; 0 is greedy decoding."""
        if self.method == TEMPERATURE.name:
            return float(self.value or 0.0)
        return float(self.settings.get(TEMPERATURE.name, 0.0))

    @property
    def label(self) -> str:
        """For people: `temperature 0.6, top-p 0.95`, `perturbation 0.001`, `greedy`; different values look different."""
        return f"{self.method} {value_words(self.value, self.settings)}".rstrip()

    def perturbation(self, draw: int) -> Perturbation | None:
        """What a draw of an arm that esprobe samples is perturbed by; None in an arm whose draws are not."""
        if not self.shares_draws:
            return None
        scheme, base_seed = self.settings["noise"], self.settings["seed"]
        seed = perturbation_seed(scheme, base_seed, draw // samples_of(self.settings))
        return Perturbation(scheme, seed, sigma_of(self.value, self.settings, draw) or 0.0, self.settings.get("rank", 0))

    def rollout_key(self, draw: int, problem_digest: str) -> int:
        """The 64-bit key of a rollout's random stream: a function of (arm, draw, problem) and nothing else."""
        digest = hashlib.sha256(f"{self.digest}:{draw}:{problem_digest}".encode()).digest()
        return int.from_bytes(digest[:8], "little")


def samples_of(settings: Mapping[str, Any]) -> int:
    """How many consecutive draws of an arm of these settings are of one perturbed model: draws m·j … m·j + m − 1 of model j."""
    samples = settings.get("samples")
    return samples if type(samples) is int and samples > 0 else 1


def is_member_arm(settings: Mapping[str, Any]) -> bool:
    """Whether an arm of these settings has the members of one iteration of a training for draws."""
    return "iteration" in settings


def sigma_of(value: float | None, settings: Mapping[str, Any], draw: int) -> float | None:
    """The σ of a draw of a perturbation arm: the arm's value or, of a mixed population, one of its `sigmas`.

    It is drawn with equal probability by a hash of base seed and model; None where neither says it.
    """
    sigmas = _sigmas(settings)
    if value is not None or not sigmas:
        return value
    model = draw // samples_of(settings)
    number = int.from_bytes(hashlib.sha256(f"{settings.get('seed')}:{model}:sigma".encode()).digest()[:8], "little")
    return sigmas[number % len(sigmas)]


def _sigmas(settings: Mapping[str, Any]) -> list[float]:
    """The σ that models are drawn from; empty where there is none, or what is there is no list of numbers."""
    found = settings.get("sigmas")
    return found if isinstance(found, list) and all(isinstance(sigma, float) for sigma in found) else []


def value_words(value: float | None, settings: Mapping[str, Any]) -> str:
    """An arm's T or σ for people: `0.6, top-p 0.95`, `0.0005–0.002 mixed`, `0.01 × 8 at T 0.6`, `0.01, low-rank 1`; or empty."""
    words = "" if value is None else _short(value)
    sigmas, temperature = _sigmas(settings), settings.get(TEMPERATURE.name)
    if value is None and sigmas:
        words = f"{_short(sigmas[0])}–{_short(sigmas[-1])} mixed"
    if isinstance(temperature, float):
        words += f" × {samples_of(settings)} at {TEMPERATURE.symbol} {_short(temperature)}"
    return ", ".join([words, *truncation(settings), *low_rank(settings)]) if words else ""


def truncation(settings: Mapping[str, Any]) -> list[str]:
    """What excludes tokens in an arm of these settings, for people: `top-p 0.95`, `top-k 50`, `min-p 0.1`."""
    found = {key: settings[key] for key in TRUNCATIONS if isinstance(settings.get(key), int | float)}
    return [f"{key.replace('_', '-')} {_short(value)}" for key, value in found.items()]


def low_rank(settings: Mapping[str, Any]) -> list[str]:
    """What low-rank noise an arm of these settings has, for people: `low-rank 1`; nothing of any other noise."""
    return [f"low-rank {settings.get('rank')}"] if settings.get("noise") == "low-rank" else []


def _short(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def perturbation_seed(scheme: NoiseScheme, base_seed: int, draw: int) -> int:
    """The seed of a draw, the same for every σ.

    `shared-seed` takes the published study's, element `draw` of numpy's `default_rng(base_seed).integers(0, 2**30)`. The others
    take 53 bits of a hash: 30 collide among a few ten thousand draws, and more are another number wherever numbers are doubles
    (JSON readers, pandas).
    """
    if scheme == "shared-seed":
        return int(_published_seeds(base_seed, 1 << max(10, draw.bit_length()))[draw])
    return _hashed_seed(base_seed, draw, SEED_BITS)


def recorded_seed(settings: Mapping[str, Any], draw: int) -> int | None:
    """The seed that a perturbation arm of these settings gives a draw; None where they do not say it.

    The settings of imported rollouts do not. Arms of older versions have no key `seeds`; their `iid` took 63 bits.
    """
    scheme, base_seed, bits = settings.get("noise"), settings.get("seed"), settings.get("seeds")
    if type(base_seed) is not int or base_seed < 0 or draw >= MOST_DRAWS:
        return None
    draw //= samples_of(settings)
    if scheme == "shared-seed":
        return perturbation_seed("shared-seed", base_seed, draw)
    if scheme not in HASHED or bits not in (None, f"{SEED_BITS} bits"):
        return None
    return _hashed_seed(base_seed, draw, 63 if bits is None else SEED_BITS)


def _hashed_seed(base_seed: int, draw: int, bits: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{base_seed}:{draw}".encode()).digest()[:8], "little") >> (64 - bits)


@lru_cache(maxsize=4)
def _published_seeds(base_seed: int, count: int) -> Any:
    """An array; the generator gives one number after the other, so a longer one begins with the shorter one."""
    from numpy.random import default_rng

    return default_rng(base_seed).integers(0, 2**30, size=count)
