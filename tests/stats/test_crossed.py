"""The true spread of models: unbiased, equal to its definition, and how often its interval holds the truth."""

from itertools import combinations

import numpy as np
import pytest

from esprobe.stats.crossed import few_answers, true_spread
from esprobe.stats.quality import spread
from esprobe.stats.student import chi_square_quantile, chi_square_tail
from tests.benchmarks.selection import World, drawn


def test_it_is_the_mean_covariance_of_pairs_of_problems() -> None:
    shares = (np.random.default_rng(1).random((7, 9)) < 0.4).astype(np.float64)
    pairs = [np.cov(shares[i], shares[j])[0, 1] for i, j in combinations(range(7), 2)]
    found = true_spread(shares)
    assert found.variance == pytest.approx(np.mean(pairs))
    counted = spread([int(c) for c in shares.sum(0)], [int(c) for c in shares.sum(1)])
    assert counted is not None
    assert (found.observed, found.luck) == pytest.approx((counted.observed, counted.luck))


def test_the_jackknives_are_those_of_leaving_one_out() -> None:
    shares = (np.random.default_rng(2).random((8, 12)) < 0.5).astype(np.float64)
    from esprobe.stats.crossed import _over_models

    left_out = [true_spread(np.delete(shares, j, axis=1)).variance for j in range(12)]
    assert _over_models(shares, shares.sum(0)) == pytest.approx(np.var(left_out) * 11)


@pytest.mark.parametrize(("world", "models"), [(World(20, 46), 64), (World(60, 140), 64), (World(0, 0.3), 64)])
def test_its_interval_holds_the_truth(world: World, models: int) -> None:
    """Nominal is 95%; three standard errors of 200 simulations are 4.6."""
    rng = np.random.default_rng(3)
    held, estimates = 0, []
    for _ in range(200):
        found = true_spread(drawn(world, 100, models, rng).correct.astype(np.float64))
        assert found.interval is not None
        held += found.interval.low <= world.variance <= found.interval.high
        estimates.append(found.variance)
    assert held / 200 > 0.904
    assert abs(np.mean(estimates) - world.variance) < 4 * np.std(estimates) / 200**0.5


def test_models_that_never_differ_have_no_interval() -> None:
    assert true_spread(np.ones((5, 6))).interval is None


@pytest.mark.parametrize(
    ("accuracy", "problems", "said"),
    [
        (0.05, 399, "fewer than 20 right answers per model"),
        (0.05, 400, ""),
        (0.9, 190, "fewer than 20 wrong answers per model"),
        (0.5, 40, ""),
    ],
)
def test_models_that_are_seldom_right_or_wrong_need_more_problems(accuracy: float, problems: int, said: str) -> None:
    assert few_answers(accuracy, problems) == said


def test_the_quantile_of_chi_square_undoes_its_tail() -> None:
    for freedom in (1.0, 7.3, 200.0):
        for tail in (0.025, 0.5, 0.975):
            assert chi_square_tail(chi_square_quantile(tail, freedom), freedom) == pytest.approx(tail)
