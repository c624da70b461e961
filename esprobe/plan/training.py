"""Evolution strategies in numbers: which problems and seeds an iteration has, and what its rewards make of the weights.

Knows seeds, rewards and coefficients; no weights, engine or database. The rule is that of Qiu et al. 2025 (arXiv 2509.24372):
one-sided perturbations, rewards as z-scores, no momentum and no decay.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from typing import Any, Literal

from esprobe.arms import SEED_BITS
from esprobe.errors import UserError

Reward = Literal["correct", "reward"]
LEAST_SPREAD = 1e-8  # added to the rewards' standard deviation, as published


@dataclass(frozen=True)
class Training:
    """What one training is: everything that its weights depend on, besides the base model and how it is run.

    `reward`: `correct` counts right answers, `reward` takes the scorer's reward from 0 to 1. `half_life`: iterations after which
    the learning rate is half of what it was, and so on; None keeps it.
    """

    name: str
    iterations: int
    population: int
    sigma: float
    learning_rate: float
    problems_per_iteration: int
    reward: Reward = "correct"
    seed: int = 42
    half_life: float | None = None

    def __post_init__(self) -> None:
        """Raises UserError for values that no training can have."""
        if not self.name or "@" in self.name or "/" in self.name:
            raise UserError(f"--name {self.name!r}: a trained model's name is not empty and has no @ and no /")
        for option, value, least in (
            ("--iterations", self.iterations, 1),
            ("--population", self.population, 2),
            ("--problems-per-iteration", self.problems_per_iteration, 1),
        ):
            if value < least:
                raise UserError(f"{option} must be at least {least}, not {value}")
        for option, number in (("--sigma", self.sigma), ("--learning-rate", self.learning_rate)):
            if not 0 < number < 1000:
                raise UserError(f"{option} must be above 0 (and below 1000), not {number:g}")
        if self.half_life is not None and not 0 < self.half_life < 1e9:
            raise UserError(f"--half-life must be above 0 (and below 1e9) iterations, not {self.half_life:g}")
        if not 0 <= self.seed < 1 << SEED_BITS:
            raise UserError(f"--seed must be from 0 to 2^{SEED_BITS} − 1, not {self.seed}")

    @property
    def rollouts(self) -> int:
        """How many an iteration takes: every member answers every problem once."""
        return self.population * self.problems_per_iteration

    def model(self, iteration: int) -> str:
        """What the model after so many iterations is called."""
        return f"{self.name}@{iteration}"

    def iteration_seed(self, iteration: int) -> int:
        """The base seed of an iteration's arm: no two iterations share their noise."""
        digest = hashlib.sha256(f"{self.seed}:iteration:{iteration}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> (64 - SEED_BITS)

    def rate(self, iteration: int) -> float:
        """The learning rate of an iteration, the first being 0. How many there will be is nothing to it."""
        return self.learning_rate if self.half_life is None else self.learning_rate * 0.5 ** (iteration / self.half_life)

    def batches(self, problems: int) -> Iterator[list[int]]:
        """The problems (positions in the training file) of each iteration, without end. Raises UserError if there are too few.

        All are used once in a seeded order, then again in another. Where one order ends within an iteration, the next one
        begins with problems that the iteration does not have yet, so that no problem is in it twice.
        """
        if (wanted := self.problems_per_iteration) > problems:
            raise UserError(f"--problems-per-iteration {wanted}: there are only {problems} training problems; lower it")
        return self._batches(problems)

    def _batches(self, problems: int) -> Iterator[list[int]]:
        wanted = self.problems_per_iteration
        rng = random.Random(f"{self.seed}:problems")
        queue: list[int] = []
        while True:
            batch, queue = queue[:wanted], queue[wanted:]
            if len(batch) < wanted:
                order = rng.sample(range(problems), problems)
                taken = set(batch)
                order.sort(key=taken.__contains__)  # stable: those of the batch go to the end
                more = wanted - len(batch)
                batch, queue = batch + order[:more], order[more:]
            yield batch


def trainings(seeds: Sequence[int], name: str, **settings: Any) -> list[Training]:
    """One training per seed, called NAME, or NAME-SEED where there are several. `settings`: all others of `Training`."""
    if len(seeds) == 1:
        return [Training(name=name, seed=seeds[0], **settings)]
    return [Training(name=f"{name}-{seed}", seed=seed, **settings) for seed in dict.fromkeys(seeds)]


def coefficients(rewards: Sequence[float], learning_rate: float) -> list[float]:
    """What each member's noise is multiplied by: α/P · z, with z = (R − mean R)/(population standard deviation + 1e-8).

    `rewards`: the mean reward of each of the P members. All equal gives zeros: the weights stay as they are.
    """
    count = len(rewards)
    if all(reward == rewards[0] for reward in rewards):
        return [0.0] * count
    mean = fsum(rewards) / count
    spread = sqrt(fsum((reward - mean) ** 2 for reward in rewards) / count)
    return [learning_rate / count * (reward - mean) / (spread + LEAST_SPREAD) for reward in rewards]
