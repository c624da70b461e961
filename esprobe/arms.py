"""What an arm is and how it is identified; the seeds of its draws. The one place that computes an arm's identity.

Knows neither models' insides nor the database.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from esprobe.methods import MethodName, named

NoiseScheme = Literal["iid", "shared-seed"]
MOST_DRAWS = 1_000_000  # of an arm
SEED_BITS = 53  # the whole numbers that a double holds exactly


@dataclass(frozen=True)
class Perturbation:
    """One perturbed model: every weight becomes base + σ·noise(scheme, seed)."""

    scheme: NoiseScheme
    seed: int
    sigma: float


@dataclass(frozen=True)
class Arm:
    """One setting that rollouts are drawn from.

    `model_digest` identifies the weights and the tokenizer, `model` is only their name. `value` is T or σ, None for greedy.
    `settings` holds everything else that changes the distribution, as plain JSON; a new method needs no new column.
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
    def label(self) -> str:
        """For people: `temperature 0.6`, `perturbation 0.001`, `greedy`; unlike values look unlike."""
        if self.value is None:
            return self.method
        short = f"{self.value:g}"
        return f"{self.method} {short if float(short) == self.value else repr(self.value)}"

    def rollout_key(self, draw: int, problem_digest: str) -> int:
        """The 64-bit key of a rollout's random stream: a function of (arm, draw, problem) and nothing else."""
        digest = hashlib.sha256(f"{self.digest}:{draw}:{problem_digest}".encode()).digest()
        return int.from_bytes(digest[:8], "little")


def perturbation_seed(scheme: NoiseScheme, base_seed: int, draw: int) -> int:
    """The seed of a draw, the same for every σ.

    `shared-seed` takes the published study's, element `draw` of numpy's `default_rng(base_seed).integers(0, 2**30)`. `iid` takes
    53 bits of a hash: 30 collide among a few ten thousand draws, and more are another number wherever numbers are doubles (JSON
    readers, pandas).
    """
    if scheme == "shared-seed":
        return int(_published_seeds(base_seed, 1 << max(10, draw.bit_length()))[draw])
    return _hashed_seed(base_seed, draw, SEED_BITS)


def perturbation_seeds(scheme: NoiseScheme, base_seed: int, count: int) -> list[int]:
    """The seeds of draws 0 … count − 1; a longer list begins with the shorter one."""
    return [perturbation_seed(scheme, base_seed, draw) for draw in range(count)]


def recorded_seed(settings: Mapping[str, Any], draw: int) -> int | None:
    """The seed that a perturbation arm of these settings gives a draw; None where they do not say it.

    Those of rollouts made elsewhere do not. Arms of older versions have no key `seeds`; their `iid` took 63 bits.
    """
    scheme, base_seed, bits = settings.get("noise"), settings.get("seed"), settings.get("seeds")
    if type(base_seed) is not int or base_seed < 0 or draw >= MOST_DRAWS:
        return None
    if scheme == "shared-seed":
        return perturbation_seed("shared-seed", base_seed, draw)
    if scheme != "iid" or bits not in (None, f"{SEED_BITS} bits"):
        return None
    return _hashed_seed(base_seed, draw, 63 if bits is None else SEED_BITS)


def _hashed_seed(base_seed: int, draw: int, bits: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{base_seed}:{draw}".encode()).digest()[:8], "little") >> (64 - bits)


@lru_cache(maxsize=4)
def _published_seeds(base_seed: int, count: int) -> Any:
    """An array; the generator gives one number after the other, so a longer one begins with the shorter one."""
    from numpy.random import default_rng

    return default_rng(base_seed).integers(0, 2**30, size=count)
