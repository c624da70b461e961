"""What choosing among perturbed models on some problems is worth on others: best of N, votes of the top K, and their controls.

Knows matrices of verdicts and ballots by problem and model. Knows no database and no layout. With numpy, all rows at once: a row
is one way to divide the problems, with the weights and models that a resample gives it.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from esprobe.stats.best_of import Pools
from esprobe.stats.resampling import Floats, Ints, estimates
from esprobe.stats.top_votes import Ballots, Flags, votes

Weights = NDArray[np.float32]
BY_EXPRESSION = "_by_expression"  # ends the names of votes by the stricter ballot
Table = tuple[str, int | None, Floats]  # quantity, its N or K, (R, m): what each row makes of each problem


@dataclass(frozen=True)
class Population:
    """n models that all met the same m problems, and what is compared with them on these problems.

    `correct`: (m, n), how many of each model's `samples` samples are correct. `ballots`: of each model's first sample.
    `families`: (n,), equal for models of one seed, which are not independent of one another. `greedy`: (m,), the unperturbed
    model's verdicts. `temperature_votes` and `temperature_passes`: K → (arms, m), vote@K and pass@K of the temperature arms that
    have so many draws. `expressions` and `temperature_votes_by_expression`: the same as `ballots` and `temperature_votes` by the
    stricter ballot, where there is one.
    """

    correct: Weights
    samples: int
    ballots: Ballots
    families: Ints
    greedy: Floats | None = None
    temperature_votes: Mapping[int, Floats] | None = None
    temperature_passes: Mapping[int, Floats] | None = None
    expressions: Ballots | None = None
    temperature_votes_by_expression: Mapping[int, Floats] | None = None

    @property
    def problems(self) -> int:
        """How many, m."""
        return len(self.correct)

    @property
    def models(self) -> int:
        """How many, n."""
        return int(self.correct.shape[1])


@dataclass(frozen=True)
class Rows:
    """R ways to choose: (R, m) weights of the problems that models are chosen on, which are not those that they are tested on.

    `models`: (R, n), the models of each row's population, by number; one that is there twice counts twice, but has one vote among
    the best.
    """

    chosen: Weights
    models: Ints

    @cached_property
    def times(self) -> Ints:
        """(R, n): how often each model is in its row's population."""
        rows, n = self.models.shape
        cell = self.models + n * np.arange(rows)[:, None]
        return np.bincount(cell.ravel(), minlength=rows * n).reshape(rows, n)


def halves(problems: int, rounds: int, rng: np.random.Generator) -> Weights:
    """Random halves, (2 · rounds, m): 1 where models are chosen. Each half is followed by the other, its complement."""
    inside = np.zeros((rounds, problems), dtype=np.float32)
    inside[:, : problems // 2] = 1
    inside = rng.permuted(inside, axis=1)
    return np.stack([inside, 1 - inside], axis=1).reshape(2 * rounds, problems)


def pools(population: Population, rows: Rows) -> tuple[Ints, Pools]:
    """Each model's score on the chosen problems, (R, n), and the pools to choose the best of N from."""
    scores = np.rint(rows.chosen @ population.correct).astype(np.int64)
    return scores, Pools(scores, rows.times)


def measure(
    population: Population, rows: Rows, sizes: Sequence[int], ks: Sequence[int], rng: np.random.Generator
) -> Iterator[Table]:
    """What the chosen models make of every problem, with the controls. A row is to be tested where it was not chosen.

    `sizes`: the N of best-of-N, among them 1; `ks`: the K of votes. Models that are equal on the chosen problems are in random
    order.
    """
    scores, pooled = pools(population, rows)
    shares = np.ascontiguousarray(population.correct.T) / population.samples  # (n, m)
    one: Floats = pooled.best(1) @ shares
    for size in sizes:
        best = pooled.best(size) @ shares
        yield "best_test", size, best
        yield "gain_test", size, best - one
        if population.greedy is not None:
            yield "best_over_greedy", size, best - population.greedy
    if population.greedy is not None:
        yield "base_greedy", None, np.broadcast_to(population.greedy, rows.chosen.shape)
    if ks:
        yield from _voted(population, rows, scores, ks, rng)


def _voted(population: Population, rows: Rows, scores: Ints, ks: Sequence[int], rng: np.random.Generator) -> Iterator[Table]:
    """Votes of the K best, of K random models and of K draws at a temperature; whether any of them is right."""
    best, by_chance = _orders(rows, scores, max(ks), rng)
    correct = np.rint(rows.times.astype(np.float32) @ population.ballots.solved).astype(np.int64)  # (R, m)
    any_test = yield from _by_ballot(rows, population.ballots, population.temperature_votes, (best, by_chance), ks)
    for place, k in enumerate(ks):
        any_right = any_test[:, place].astype(np.float64)
        yield "any_test", k, any_right
        yield "any_random", k, estimates(np.full((1, 1), population.models), correct, k)
        if population.temperature_passes and k in population.temperature_passes:
            sampled = _best_arm(population.temperature_passes[k], rows.chosen)
            yield "temperature_pass", k, sampled
            yield "any_over_pass", k, any_right - sampled
    if population.expressions is not None:
        sampled_votes = population.temperature_votes_by_expression
        yield from _by_ballot(rows, population.expressions, sampled_votes, (best, by_chance), ks, BY_EXPRESSION)


def _by_ballot(
    rows: Rows,
    ballots: Ballots,
    sampled_votes: Mapping[int, Floats] | None,
    orders: tuple[Ints, Ints],
    ks: Sequence[int],
    suffix: str = "",
) -> Generator[Table, None, Flags]:
    """The votes by one kind of ballot, `suffix` being added to the quantities; `orders`: the best models, and random ones.

    Returns whether any of the K best is right: (R, len(ks), m).
    """
    best, by_chance = orders
    vote_test, any_test = votes(ballots, best, ks)
    vote_random, _ = votes(ballots, by_chance, ks)
    for place, k in enumerate(ks):
        voted, by_random = (table[:, place].astype(np.float64) for table in (vote_test, vote_random))
        yield f"vote_test{suffix}", k, voted
        yield f"vote_random{suffix}", k, by_random
        yield f"vote_over_random{suffix}", k, voted - by_random
        if sampled_votes and k in sampled_votes:
            sampled = _best_arm(sampled_votes[k], rows.chosen)
            yield f"temperature_vote{suffix}", k, sampled
            yield f"vote_over_temperature{suffix}", k, voted - sampled
    return any_test


def _orders(rows: Rows, scores: Ints, length: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """(R, length) twice: the best models by score, none of them twice, and random ones of each row's population.

    Of models that a population lacks, none comes before those that it has. Random ones are windows of few orders, so that all
    models begin a row about equally often.
    """
    count, n = scores.shape
    keys = np.where(rows.times > 0, scores + rng.random((count, n)), -1.0)  # equal ones in random order
    best = np.argpartition(-keys, length - 1, axis=1)[:, :length]
    best = np.take_along_axis(best, np.argsort(-np.take_along_axis(keys, best, axis=1), axis=1), axis=1)
    orders = rng.permuted(np.tile(np.arange(n), (-(-count // n), 1)), axis=1)
    starts = np.arange(count) * n // min(count, n) % n
    windows = orders[np.arange(count)[:, None] // n, (starts[:, None] + np.arange(length)) % n]
    return best, np.take_along_axis(rows.models, windows, axis=1)


def _best_arm(table: Floats, chosen: Weights) -> Floats:
    """(R, m): the arm, from (arms, m), that is best on the chosen problems; of equally good ones the mean."""
    there = chosen @ table.T  # (R, arms)
    top = there >= there.max(1, keepdims=True) - 1e-9 * chosen.shape[1]
    best: Floats = top / top.sum(1, keepdims=True) @ table
    return best
