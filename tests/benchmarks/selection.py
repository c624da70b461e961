"""How often `report --select` holds the truth, by simulation: populations of equal models, and of a known spread.

`python -m tests.benchmarks.selection` prints two tables; `tests/stats/test_reselection.py` asserts their bands with fewer
simulations. A model's true accuracy is Beta distributed; on a problem it succeeds with probability logistic(ease + ability), of
the ability that gives this accuracy in the mean over all problems. The truth about choosing and voting is the mean over
simulations of what the chosen models do on 1,000 further problems.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

from esprobe.stats.intervals import Interval
from esprobe.stats.resampling import Floats
from esprobe.stats.reselection import Key, Selected, select
from esprobe.stats.selection import Population, Rows, halves, measure, pools
from esprobe.stats.top_votes import coded

FURTHER = 1000  # problems for the truth
SEED = 3


@dataclass(frozen=True)
class World:
    """Where problems and models come from: Beta(a, b) is the models' true accuracy; b is it itself where a is 0, all equal."""

    a: float
    b: float
    ease: float = 1.5  # the standard deviation of the problems' ease

    @property
    def variance(self) -> float:
        """τ²."""
        total = self.a + self.b
        return self.a * self.b / (total**2 * (total + 1))


@cache
def _abilities(world: World) -> tuple[Floats, Floats]:
    """Accuracies, and the abilities that have them in the mean over all problems."""
    steps = ((np.arange(2000) + 0.5) / 2000).tolist()
    ease = world.ease * np.array([NormalDist().inv_cdf(step) for step in steps])
    abilities = np.linspace(-16, 16, 1500)
    return np.array([(1 / (1 + np.exp(-(ease + ability)))).mean() for ability in abilities]), abilities


def drawn(world: World, problems: int, models: int, rng: np.random.Generator) -> Population:
    """A population; wrong answers share ballots (geometric), and one answer in ten has none."""
    accuracy = rng.beta(world.a, world.b, models) if world.a else np.full(models, world.b)
    ability = np.interp(accuracy, *_abilities(world))
    ease = rng.normal(0, world.ease, (problems, 1))
    right = rng.random((problems, models)) < 1 / (1 + np.exp(-(ease + ability)))
    ballots = np.where(right, 0, np.where(rng.random(right.shape) < 0.1, -1, rng.geometric(0.3, right.shape)))
    return Population(right.astype(np.float32), 1, coded(ballots.T.astype(np.int64), right.T), np.arange(models))


def part(population: Population, problems: int) -> Population:
    """The same on its first problems alone."""
    kept = np.arange(population.problems) < problems
    return Population(population.correct[kept], population.samples, population.ballots.of(kept), population.families)


@dataclass(frozen=True)
class Held:
    """How often intervals contain the truth, or lie above it.

    `trusted`: how many of them come without a doubt; `width`: of the mean interval, in that of one that knew the standard
    deviation of the estimates.
    """

    trusted: float
    holds: float
    above: float
    width: float


@dataclass(frozen=True)
class Coverage:
    """Of one quantity at one N or K: the truth, the mean estimate, and its intervals, None where it is given without."""

    quantity: str
    at: int | None
    truth: float
    estimate: float
    intervals: Held | None


def coverage(
    world: World, train: int, test: int, models: int, rounds: int, sizes: Sequence[int], ks: Sequence[int], file: bool
) -> list[Coverage]:
    """Simulates `rounds` populations. `file`: the train problems are given; else random halves of train + test."""
    rng = np.random.default_rng(SEED)
    given = np.arange(train + test) < train
    further = np.arange(train + test + FURTHER) >= train + test
    results: list[Selected] = []
    truths: dict[Key, list[float]] = {}
    for _ in range(rounds):
        every = drawn(world, len(further), models, rng)
        results.append(select(part(every, train + test), given if file else None, sizes, ks))
        chosen = np.zeros((20, len(further)), dtype=np.float32)
        chosen[:, ~further] = given if file else halves(train + test, 10, rng)
        rows = Rows(chosen, np.broadcast_to(np.arange(models), (20, models)))
        for name, at, table in measure(every, rows, sizes, ks, rng):
            truths.setdefault((name, at), []).append(float(table[:, further].mean()))
        scores, pooled = pools(every, rows)
        for size in sizes:
            truths.setdefault(("best_train", size), []).append(
                float(((pooled.best(size) * scores).sum(1) / chosen.sum(1)).mean())
            )
    found = []
    for (name, at), each in truths.items():
        figures = [one.at(name)[at] for one in results]
        found.append(_coverage(name, at, float(np.mean(each)), [(one.value, one.interval) for one in figures]))
    return [*found, _coverage("tau2", None, world.variance, [(one.spread.variance, one.spread.interval) for one in results])]


def _coverage(name: str, at: int | None, truth: float, found: Sequence[tuple[float, Interval | None]]) -> Coverage:
    ends = [interval for _, interval in found if interval is not None]
    values = [value for value, _ in found]
    mean = float(np.mean(values))
    if not ends:
        return Coverage(name, at, truth, mean, None)
    above = sum(one.low > truth for one in ends) / len(ends)
    below = sum(one.high < truth for one in ends) / len(ends)
    width = float(np.mean([one.high - one.low for one in ends])) / max(1e-12, 2 * 1.96 * float(np.std(values)))
    trusted = sum(not one.doubt for one in ends) / len(ends)
    return Coverage(name, at, truth, mean, Held(trusted, 1 - above - below, above, width))


def size_of_test(models: int, problems: int, accuracy: float, rounds: int) -> float:
    """How often p ≤ 0.05 among populations of equal models."""
    rng = np.random.default_rng(SEED)
    rejected = 0
    for _ in range(rounds):
        found = select(drawn(World(0, accuracy), problems, models, rng), None, (1,), ())
        rejected += found.p is not None and found.p <= 0.05
    return rejected / rounds


WORLDS = (World(20, 46), World(60, 140), World(20, 380, 2.0), World(0, 0.3))
SIZES = ((250, 250, 200), (250, 250, 64), (100, 100, 64), (30, 30, 30))


def main(rounds: int = 200) -> None:
    """Prints the tables."""
    for train, test, models in SIZES:
        for world in WORLDS:
            for file in (True, False):
                rows = coverage(world, train, test, models, rounds, (1, 4, 16, models), (1, 4, 16), file)
                kind = "given" if file else "halves"
                print(f"\n{models} models, {train} + {test} problems, {kind}, Beta({world.a}, {world.b}) τ² {world.variance:.2g}")
                print(f"{'':18}{'at':>5}{'truth':>10}{'estimate':>10}{'trusted':>8}{'holds':>8}{'above':>8}{'width':>7}")
                for row in rows:
                    at = "" if row.at is None else row.at
                    held = row.intervals
                    said = f"{held.trusted:8.0%}{held.holds:8.1%}{held.above:8.1%}{held.width:7.2f}" if held else "  no interval"
                    print(f"{row.quantity:18}{at:>5}{row.truth:10.4f}{row.estimate:10.4f}{said}", flush=True)


if __name__ == "__main__":
    main()
