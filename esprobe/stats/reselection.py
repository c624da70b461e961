"""Selection with its uncertainty: estimates over halves, resamples that choose again, and what equal models would show.

Knows what `selection` measures. Knows no database and no layout. What is chosen here was chosen by simulation:
`python -m tests.benchmarks.selection`.

The variance of an estimate has two parts. The problems' is that of the chosen models' results over the tested problems. The
choice's is had by a bootstrap of the models and of the problems that they are chosen on, with everything chosen again in each
resample, and by the covariance of what is then found on two halves of the tested problems: their variance would count once more
the luck of each model on each problem. Resamples have fewer different models than the data, and noisier choices: how much they
vary is taken from them, never where they lie, and where the best few decide, they vary less than the data by a known part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, sqrt, tanh

import numpy as np
from numpy.typing import NDArray

from esprobe.stats.best_of import Pools
from esprobe.stats.crossed import TrueSpread, few_answers, true_spread
from esprobe.stats.intervals import Interval, share_interval
from esprobe.stats.resampling import Floats, Ints
from esprobe.stats.selection import BY_EXPRESSION, Population, Rows, Weights, halves, measure, pools
from esprobe.stats.student import Z, t_quantile

SEED = 20251125
HALVES = 200
ORDERS = 50  # of models that are equal where they were chosen, where there is but one way to divide the problems
RESAMPLES = 200
SPLITS = 4  # halves of each resample, both ways round
VOTED = 2  # of them with votes, which take time
IN_HALVES = 1.65  # the power of the part of a variance that resamples show, where it is a mean over halves: by simulation
SHUFFLES = 200
_MOST_SHUFFLED = 50_000_000  # verdicts
AT_ONCE = 20  # shuffles
FEW = 20  # models or problems
DECIDING = 4  # models that must decide for an interval on halves, see `_few_decide`
_BALLOTS = ("", BY_EXPRESSION)
_VOTE_OVER = ("vote_over_random", "vote_over_temperature")
_OVER = [f"{name}{ballot}" for name in _VOTE_OVER for ballot in _BALLOTS]
DIFFERENCES = ("gain_test", "best_over_greedy", *_OVER, "any_over_pass")
# Quantity → that by which choosing changes it. Where each problem is now chosen on and now tested on, the luck of a model on two
# problems helps it twice, to be chosen by one and to be right on the other, and both ways round: that part of the variance counts
# twice, as in any mean over pairs. The part is what the slope leaves to luck.
OF_CHOICE = {
    **dict.fromkeys(("best_test", "gain_test", "best_over_greedy"), "gain_test"),
    **{f"{name}{ballot}": f"vote_over_random{ballot}" for name in ("vote_test", *_VOTE_OVER) for ballot in _BALLOTS},
}
# Difference → the share of which it is taken
OF_SHARE = {
    **dict.fromkeys(("gain_test", "best_over_greedy"), "best_test"),
    **{f"{name}{ballot}": f"vote_test{ballot}" for name in _VOTE_OVER for ballot in _BALLOTS},
    "any_over_pass": "any_test",
}
_CONTROL_VOTES = [f"{name}{ballot}" for name in ("vote_random", "temperature_vote") for ballot in _BALLOTS]
CONTROLS = ("base_greedy", "any_random", "temperature_pass", *_CONTROL_VOTES)
OF_VOTES = ("vote_test", f"vote_test{BY_EXPRESSION}", "any_test", *_OVER, "any_over_pass")
Key = tuple[str, int | None]


@dataclass(frozen=True)
class Figure:
    """One number: of the best of N, of K votes, or of the population as a whole (`at` is None)."""

    quantity: str
    at: int | None
    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Selected:
    """What is known of a population. `p`: of no true difference between its models, None where all have the same score."""

    figures: tuple[Figure, ...]
    spread: TrueSpread
    p: float | None

    def at(self, quantity: str) -> dict[int | None, Figure]:
        """The figures of one quantity by N or K."""
        return {figure.at: figure for figure in self.figures if figure.quantity == quantity}


def select(population: Population, train: NDArray[np.bool_] | None, sizes: Sequence[int], ks: Sequence[int]) -> Selected:
    """The whole of it. `train`: (m,), the problems that models are chosen on; without it random halves, both ways round.

    `sizes`: the N, among them 1; `ks`: the K, at most n. Needs two models, and two problems to choose on and to test on.
    """
    rng = np.random.default_rng(SEED)
    splits = halves(population.problems, HALVES, rng) if train is None else train[None].astype(np.float32)
    few = splits[: 2 * SPLITS]
    own = _per_problem(population, splits if train is None else np.repeat(splits, ORDERS, axis=0), sizes, ks, rng)
    chosen = variance_of_choice(population, few, sizes, ks, rng)
    tested = int((splits < 1).any(0).sum())
    fewest = min(tested, len(np.unique(population.families)))
    slope = _slope(population, splits)
    twice = 0.0 if train is not None else min(1.0, max(0.0, 1 - slope.value))
    figures = [slope]
    for (name, at), values in own.items():
        variance = (_variance(own, name, at) + twice * _variance(own, OF_CHOICE.get(name), at)) / tested + chosen[name, at]
        known = train is not None or not _few_decide(name, at, population.models)
        share = float(own[OF_SHARE.get(name, name), at].mean())
        interval = _interval(name, float(values.mean()), variance, tested, fewest, share) if known else None
        figures.append(Figure(name, at, float(values.mean()), interval))
    figures += _on_train(population, splits, few, sizes, fewest, rng)
    null, p = _equal_models(population, few, sizes, rng)
    shares = population.correct.astype(np.float64) / population.samples
    return Selected((*figures, *null), true_spread(shares), p)


def _few_decide(name: str, at: int | None, models: int) -> bool:
    """Whether fewer than four models decide: about n/N are likely to be the best of N of n, and the K best are K.

    On halves an estimate that is too low then comes with an interval that is too narrow: in simulations as few as 85% of
    them contain the truth, not 95%. With the train problems given they hold.
    """
    if at is None:
        return False
    if name in OF_VOTES:
        return at < DECIDING
    return OF_CHOICE.get(name) == "gain_test" and at > 1 and models < DECIDING * at


def _variance(own: dict[Key, Floats], name: str | None, at: int | None) -> float:
    """Between problems; 0 without a name."""
    return 0.0 if name is None else float(own[name, at].var(ddof=1))


def _interval(name: str, value: float, variance: float, tested: int, fewest: int, share: float) -> Interval | None:
    """Wilson's for a share, Student's for a difference; `share`: the value, or that of which a difference is taken."""
    doubt = f"few models or problems ({fewest})" if fewest < FEW else ""
    if not doubt and name not in CONTROLS:
        doubt = few_answers(share, tested)
    if name in DIFFERENCES:
        half = t_quantile(fewest - 1) * sqrt(variance)
        return Interval(value - half, value + half, doubt)
    found = share_interval(value, variance, tested)
    return None if found is None else Interval(found.low, found.high, doubt or found.doubt)


def _everyone(population: Population, rows: int) -> Ints:
    return np.broadcast_to(np.arange(population.models), (rows, population.models))


def _per_problem(
    population: Population, splits: Weights, sizes: Sequence[int], ks: Sequence[int], rng: np.random.Generator
) -> dict[Key, Floats]:
    """By quantity and N or K: what the models, chosen without it, make of each tested problem, mean over splits."""
    held = 1 - splits
    times = held.sum(0)
    tested = times > 0
    rows = Rows(splits, _everyone(population, len(splits)))
    return {
        (name, at): np.einsum("rm,rm->m", held, table)[tested] / times[tested]
        for name, at, table in measure(population, rows, sizes, ks, rng)
    }


def variance_of_choice(
    population: Population, splits: Weights, sizes: Sequence[int], ks: Sequence[int], rng: np.random.Generator
) -> dict[Key, float]:
    """By quantity and N or K: the covariance, over resamples, of what is found on two halves of the tested problems."""
    m = population.problems
    one_way = len(splits) == 1
    side = _half_of(splits[0] < 1 if one_way else np.ones(m, dtype=bool), rng)
    models = _drawn_models(population, rng)
    weights = np.zeros((RESAMPLES, m), dtype=np.float32)
    on = splits.any(0)  # the problems that models are chosen on
    weights[:, on] = rng.multinomial(on.sum(), np.full(on.sum(), 1 / on.sum()), size=RESAMPLES)
    found: dict[Key, list[Floats]] = {}
    # twice, since equal models are in random order
    for number, split in enumerate(np.repeat(splits, 2, axis=0) if one_way else splits):
        voting = ks if number < 2 * VOTED else ()
        sides = np.stack([side * (1 - split), (1 - side) * (1 - split)], axis=1)  # (m, 2)
        sides /= np.maximum(sides.sum(0), 1)
        for name, at, table in measure(population, Rows(split * weights, models), sizes, voting, rng):
            found.setdefault((name, at), []).append(table @ sides)
    ways, power = (1, 1.0) if one_way else (2, IN_HALVES)
    return {
        (name, at): max(0.0, _covariance(_by_split(np.array(tables), ways))) / _shown(name, at, population.models) ** power
        for (name, at), tables in found.items()
    }


def _shown(name: str, at: int | None, models: int) -> float:
    """The part of a variance that resampled models show; all of it where nothing is the best."""
    if at is None or name in CONTROLS:
        return 1.0
    return _shown_together(at) if name in OF_VOTES else _shown_alone(at / models)


@cache
def _shown_together(k: int) -> float:
    """Of the mean of the K best, where a resample has a model with probability p = 1 − 1/e: 1 − Σ_r a_r²/K over ranks r.

    a_r = p · P(Binomial(r − 1, p) < K) is how probably the model of rank r is among them.
    """
    p = 1 - exp(-1)
    ranks = 4 * k + 20
    below = np.zeros(k)  # how probably so many, fewer than K, of the better ones are there
    below[0] = 1
    total = 0.0
    for _ in range(ranks):
        total += float(p * below.sum()) ** 2
        below = below * (1 - p) + np.concatenate([[0.0], below[:-1] * p])
    return 1 - total / k


def _shown_alone(part: float) -> float:
    """The part of the variance of the best of N of n models that resampled models show; `part`: N/n.

    A resample's best model is often the data's own. The model of rank r is the best with probability w_r = q(1 − q)^(r − 1), q
    being the part. Of values that do not depend on the rank, resamples show E Σ w*² − Σ (E w*)², where w* is w with each model
    there as often as a Poisson variable of mean 1 says, of Σ w²: all where q is small, 1 − tanh(1/2) = 0.54 where N = n.
    """
    q = max(part, 1e-3)
    lost = 2 * q - q * q
    shown = (1 - 2 * exp(-q) + exp(-lost)) / (1 - exp(-lost)) - tanh(q / 2)
    return shown * (2 - q) / q


def _half_of(problems: NDArray[np.bool_], rng: np.random.Generator) -> Weights:
    half = np.zeros(len(problems), dtype=np.float32)
    half[rng.permutation(np.flatnonzero(problems))[: problems.sum() // 2]] = 1
    return half


def _by_split(tables: Floats, ways: int) -> Floats:
    """(S, B, …) from (S · ways, B, …): the mean of both ways round."""
    means: Floats = tables.reshape(-1, ways, *tables.shape[1:]).mean(1)
    return means


def _covariance(table: Floats) -> float:
    """From (S, B, 2), two results of S splits in B resamples: the covariance between resamples of their means over all splits.

    The mean over S of them has a further residual/S, which is subtracted.
    """
    splits, resamples = int(table.shape[0]), int(table.shape[1])
    means = table.mean(0)
    between = float(np.cov(means.T)[0, 1])
    if splits < 2:
        return between
    rest = table - means - table.mean(1, keepdims=True) + means.mean(0)
    own = float(np.vdot(rest[..., 0], rest[..., 1])) / ((splits - 1) * (resamples - 1))
    return between - own / splits


def _drawn_models(population: Population, rng: np.random.Generator) -> Ints:
    """(RESAMPLES, n): models drawn with replacement, those of one seed together; cut to n where seeds have unequal numbers."""
    n = population.models
    _, family = np.unique(population.families, return_inverse=True)
    count = int(family.max()) + 1
    if count == n:
        return rng.integers(0, n, (RESAMPLES, n))
    members = [np.flatnonzero(family == i) for i in range(count)]
    drawn = [np.concatenate([members[i] for i in rng.integers(0, count, 2 * count)]) for _ in range(RESAMPLES)]
    return np.array([np.resize(row, n) for row in drawn])


def _slope(population: Population, splits: Weights) -> Figure:
    """How much better a model is where it is tested that is better by 1 where it is chosen: least squares, mean over splits."""
    x = splits @ population.correct / splits.sum(1, keepdims=True)
    y = (1 - splits) @ population.correct / (1 - splits).sum(1, keepdims=True)
    x -= x.mean(1, keepdims=True)
    squares = (x * x).sum(1)
    slopes = (x * y).sum(1) / np.where(squares > 0, squares, np.inf)
    return Figure("slope", None, float(slopes.mean()), None)


def _on_train(
    population: Population, splits: Weights, few: Weights, sizes: Sequence[int], fewest: int, rng: np.random.Generator
) -> list[Figure]:
    """How good the best of N seem where they were chosen.

    Resampled models bring their luck with them, so what the problems add is only what moves all models alike.
    """
    answered = splits.sum(1, keepdims=True) * population.samples
    scores, pooled = pools(population, Rows(splits, _everyone(population, len(splits))))
    drawn = _drawn_models(population, rng)
    again = [pools(population, Rows(np.repeat(split[None], RESAMPLES, axis=0), drawn)) for split in few]
    chosen_on = splits.any(0)
    shares = population.correct[chosen_on].astype(np.float64) / population.samples
    common = max(0.0, float(shares.mean(1).var(ddof=1) - shares.var(1, ddof=1).mean() / population.models)) / len(shares)
    mean = float(shares.mean())
    figures = []
    for size in sizes:
        value = float(((pooled.best(size) * scores).sum(1) / answered[:, 0]).mean())
        table = np.array([(one.best(size) * found).sum(1) for found, one in again]) / answered[: len(few)]
        moved = common * (value * (1 - value) / max(mean * (1 - mean), 1e-12)) ** 2
        spread = max(0.0, _covariance(_by_split(np.repeat(table[..., None], 2, axis=2), min(2, len(few)))))
        spread /= _shown_alone(size / population.models)
        interval = _interval("best_train", value, spread + moved, len(shares), fewest, value)
        figures.append(Figure("best_train", size, value, interval))
    return figures


def _equal_models(
    population: Population, splits: Weights, sizes: Sequence[int], rng: np.random.Generator
) -> tuple[list[Figure], float | None]:
    """Best of N were all models equal, with the band that has 95% of such populations; p of the observed spread.

    Each problem's verdicts are shuffled among the models. A vote of the K best is then, in the mean, that of K random models.
    """
    correct, samples = population.correct, population.samples
    rounds = max(39, min(SHUFFLES, _MOST_SHUFFLED // correct.size))
    differ = correct.min(1) < correct.max(1)  # the problems on which a shuffle changes anything
    spread = correct.sum(0).var()
    held = (1 - splits) / (1 - splits).sum(1, keepdims=True)
    as_wide = 0
    found: dict[Key, list[Floats]] = {}
    for first in range(0, rounds, AT_ONCE):
        shuffled = np.repeat(correct[None], min(AT_ONCE, rounds - first), axis=0)  # (A, m, n)
        for one in shuffled:
            one[differ] = rng.permuted(correct[differ], axis=1)
        as_wide += int((shuffled.sum(1).var(1) >= spread * (1 - 1e-6)).sum())
        scores, worth = np.rint(splits @ shuffled).astype(np.int64), held @ shuffled  # (A, splits, n)
        pooled = Pools(scores.reshape(-1, population.models))
        for size in sizes:
            best = pooled.best(size).reshape(scores.shape)
            found.setdefault(("best_train_null", size), []).append((best * scores).sum(2) / (splits.sum(1) * samples))
            found.setdefault(("best_test_null", size), []).append((best * worth).sum(2) / samples)
    figures = []
    for (name, at), rows in found.items():
        table = _by_split(np.concatenate(rows).T, min(2, len(splits)))  # (splits, rounds)
        value = float(table.mean())
        half = Z * sqrt(max(0.0, _covariance(np.repeat(table[..., None], 2, axis=2))))
        figures.append(Figure(name, at, value, Interval(max(0.0, value - half), min(1.0, value + half))))
    return figures, (1 + as_wide) / (1 + rounds) if spread > 0 else None
