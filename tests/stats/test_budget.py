"""The difference at equal budget: its two-way variance, its coverage, and which word the verdict is."""

import numpy as np
import pytest

from esprobe.stats.budget import Delta, equal_budget
from esprobe.stats.intervals import Interval
from esprobe.stats.student import t_quantile
from tests.benchmarks.budget import World, coverage, no_difference


def delta(value: float, low: float, high: float, of_problems: float = 0.2, of_seeds: float = 0.0) -> Delta:
    return Delta(value, Interval(low, high), 128, 5, of_problems, of_seeds, 0.0)


def test_the_interval_is_that_of_two_crossed_factors() -> None:
    rng = np.random.default_rng(1)
    trained = (rng.random((5, 60)) < np.array([0.3, 0.5, 0.6, 0.4, 0.9])[:, None]).astype(float)
    sampler = (rng.random(60) < 0.4).astype(float)
    d = trained - sampler
    by_problem, by_seed = d.mean(0), d.mean(1)
    ms_problem = 5 * sum((x - d.mean()) ** 2 for x in by_problem) / 59
    ms_seed = 60 * sum((x - d.mean()) ** 2 for x in by_seed) / 4
    ms_rest = sum((d[s, i] - by_seed[s] - by_problem[i] + d.mean()) ** 2 for s in range(5) for i in range(60)) / (4 * 59)
    variance = (ms_problem + ms_seed - ms_rest) / 300
    freedom = variance**2 / ((ms_problem / 300) ** 2 / 59 + (ms_seed / 300) ** 2 / 3)
    found = equal_budget(trained, sampler)
    assert found.value == pytest.approx(d.mean())
    assert (found.interval.high - found.interval.low) / 2 == pytest.approx(t_quantile(freedom) * variance**0.5)


def test_one_training_seed_has_the_interval_of_paired_problems() -> None:
    rng = np.random.default_rng(2)
    trained, sampler = (rng.random((1, 200)) < 0.5).astype(float), (rng.random(200) < 0.4).astype(float)
    each = (trained - sampler)[0]
    found = equal_budget(trained, sampler)
    assert found.interval.high - found.value == pytest.approx(t_quantile(199) * each.std(ddof=1) / 200**0.5)
    assert found.of_seeds == 0


def test_what_the_samplers_models_vary_widens_the_interval() -> None:
    rng = np.random.default_rng(3)
    trained, sampler = (rng.random((5, 200)) < 0.5).astype(float), (rng.random(200) < 0.4).astype(float)
    without, with_models = equal_budget(trained, sampler), equal_budget(trained, sampler, 0.001, 100)
    assert with_models.interval.high - with_models.value > without.interval.high - without.value


@pytest.mark.parametrize("problems", [128, 300])
@pytest.mark.parametrize("world", [None, World(1.0, 0.0), World(1.0, 0.2), World(2.0, 0.2, ease=-4.0)])
def test_intervals_hold_the_true_difference(world: World | None, problems: int) -> None:
    """93 to 97%, give or take what 400 rounds leave open; the benchmark has the exact shares. None: training changes nothing."""
    assert 0.93 - 0.033 <= coverage(world or no_difference(0.2), 5, problems, 400) <= 0.97 + 0.026


def test_verdicts_are_those_of_the_margin() -> None:
    assert delta(-0.05, -0.09, -0.01).word(0.02) == "sampling suffices"
    assert delta(0.01, 0.001, 0.019).word(0.02) == "sampling suffices"  # there is a difference, too small to need training
    assert delta(0.05, 0.01, 0.09).word(0.02) == "training needed"
    assert delta(0.01, -0.01, 0.03).word(0.02) == "undecided"


@pytest.mark.parametrize(("points", "needed"), [(5, 621), (2, 3917)])
def test_the_number_of_problems_that_decides_is_the_published_formula(points: int, needed: int) -> None:
    """Where the two differ on 20% of the problems."""
    assert delta(points / 100, -0.1, 0.2, of_problems=0.2 - (points / 100) ** 2).problems_needed(0.0) == needed


def test_no_number_of_problems_decides_where_training_seeds_vary_too_much() -> None:
    assert delta(0.02, -0.1, 0.2, of_seeds=0.01).problems_needed(0.02) is None
