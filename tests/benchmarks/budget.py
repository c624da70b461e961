"""How often the interval of `report --budget` holds the true difference of training and sampling, by simulation.

`python -m tests.benchmarks.budget` prints the table; `tests/stats/test_budget.py` asserts its band with fewer simulations. A
problem has an ease, a training seed a quality, and both together an effect of their own, all normal on the logit scale; the
truth is the mean over further problems and seeds.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from esprobe.stats.budget import equal_budget
from esprobe.stats.resampling import Floats

SEED = 7


@dataclass(frozen=True)
class World:
    """Logits: `ease` is the mean of the problems', whose standard deviation is 1.5; training adds `shift` to it.

    `of_seeds`: the standard deviation of the training seeds' quality; `both`: of what a seed makes of a single problem.
    """

    shift: float
    of_seeds: float
    ease: float = -1.5
    both: float = 1.0


def chances(world: World, seeds: int, problems: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """How probably trained models, (S, m), and a sampler, (m,), solve each of so many new problems."""
    ease = rng.normal(world.ease, 1.5, problems)
    quality = rng.normal(0, world.of_seeds, (seeds, 1)) + rng.normal(0, world.both, (seeds, problems))
    return 1 / (1 + np.exp(-(ease + world.shift + quality))), 1 / (1 + np.exp(-ease))


@cache
def truth(world: World) -> float:
    """The mean difference over many seeds and problems."""
    rng = np.random.default_rng(SEED)
    found = [chances(world, 100, 300, rng) for _ in range(100)]
    return float(np.mean([trained.mean() - sampler.mean() for trained, sampler in found]))


@cache
def no_difference(of_seeds: float) -> World:
    """The world of this spread of seeds in which training changes nothing on average, found by halving."""
    low, high = -2.0, 2.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if truth(World(middle, of_seeds)) < 0 else (low, middle)
    return World((low + high) / 2, of_seeds)


def coverage(world: World, seeds: int, problems: int, rounds: int) -> float:
    """How often the interval holds the truth."""
    rng, true = np.random.default_rng(SEED), truth(world)
    held = 0
    for _ in range(rounds):
        trained, sampler = chances(world, seeds, problems, rng)
        found = equal_budget((rng.random(trained.shape) < trained) * 1.0, (rng.random(problems) < sampler) * 1.0)
        held += found.interval.low <= true <= found.interval.high
    return held / rounds


def main(rounds: int = 2000) -> None:
    """Prints the table."""
    print("seeds problems  spread of seeds  true difference  holds")
    for seeds, problems in ((5, 128), (5, 300), (5, 1000), (10, 300)):
        for of_seeds in (0.0, 0.2, 0.5):
            for world in (no_difference(of_seeds), World(1.0, of_seeds), World(2.0, of_seeds, ease=-4.0)):
                share = coverage(world, seeds, problems, rounds)
                print(f"{seeds:5}{problems:9}{of_seeds:17}{truth(world):17.3f}{share:7.1%}", flush=True)


if __name__ == "__main__":
    main()
