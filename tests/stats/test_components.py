"""The split of variance between and within perturbed models: exact where it can be worked out, and held in simulation."""

import numpy as np
import pytest

from esprobe.stats.components import components
from esprobe.stats.intervals import Cell, by_draw, share_interval, shared_draws, variance_over_problems


def population(rng: np.random.Generator, problems: int, models: int, rho: float, common: float) -> np.ndarray:
    """Probabilities (problems, models) that vary over models by rho·μ(1 − μ), common² of it alike on all problems."""
    mu = rng.uniform(0.35, 0.65, (problems, 1))
    own, signs = rng.choice([-1, 1], (problems, models)), rng.choice([-1, 1], (1, models))
    return mu + np.sqrt(rho * mu * (1 - mu)) * np.where(rng.random((problems, models)) < common, signs, own)


def test_models_that_always_or_never_solve_a_problem_differ_between_models_alone() -> None:
    correct = np.tile([4.0, 0.0], (3, 2))  # 3 problems, models of 4 samples: right, wrong, right, wrong
    found = components(correct, 4)
    assert (found.within, found.share) == (0.0, 1.0)
    assert found.between == pytest.approx(1 / 3)  # s² of 1, 0, 1, 0
    assert found.quality == pytest.approx(1 / 3)  # the same models on every problem


def test_by_hand() -> None:
    found = components(np.array([[2.0, 1.0], [0.0, 1.0]]), 2)
    # shares 1, ½ and 0, ½: y(1 − y)·2 is 0, ½ and 0, ½; s² is ⅛ for both problems, less ¼/2
    assert found.within == pytest.approx(0.25)
    assert found.between == pytest.approx(0.125 - 0.125)
    assert found.quality == pytest.approx(-0.125)  # the covariance of (1, ½) and (0, ½)
    assert found.share_interval is None  # two models cannot show how much they vary


def test_what_cannot_be_split_is_not() -> None:
    assert components(np.ones((3, 4)), 1) is None
    assert components(np.ones((3, 1)), 2) is None
    assert components(np.ones((1, 4)), 2) is None
    same = components(np.full((9, 9), 2.0), 2)
    assert (same.within, same.between, same.share) == (0.0, 0.0, None)


def test_the_interval_of_samples_knows_how_few_models_they_are_from() -> None:
    rng = np.random.default_rng(3)
    samples, inside = 4, {1: 0, 4: 0}
    for _ in range(150):
        correct = rng.binomial(samples, population(rng, 40, 16, 0.3, 1.0))  # models that are good or bad at everything
        verdicts = (np.arange(samples) < correct[..., None]).reshape(40, -1)  # draws m·j … m·j + m − 1 are of model j
        cells = [Cell(64, c) for c in verdicts.sum(1).tolist()]
        solved = by_draw(cells, [np.flatnonzero(row).tolist() for row in verdicts])
        variance = variance_over_problems([cell.c / cell.n for cell in cells])
        for taken in inside:
            shared = shared_draws(cells, solved, 1, taken)
            low, high = share_interval(verdicts.mean(), variance, 40, shared)
            inside[taken] += low <= 0.5 <= high
    assert inside[4] >= 0.9 * 150
    assert inside[1] < inside[4]


@pytest.mark.parametrize(("rho", "common"), [(0.0, 0.0), (0.1, 0.5), (0.3, 1.0)])
def test_estimates_are_right_on_average_and_intervals_contain_the_truth(rho: float, common: float) -> None:
    rng = np.random.default_rng(7)
    problems, models, samples = 40, 24, 4
    found = []
    for _ in range(200):
        found.append(components(rng.binomial(samples, population(rng, problems, models, rho, common)).astype(float), samples))
    mean = np.mean([one.share for one in found])
    assert mean == pytest.approx(rho, abs=0.015)
    mu2 = 0.25 - 0.3**2 / 12  # mean of μ(1 − μ) of a uniform μ from 0.35 to 0.65
    truth = rho * common**2 * mu2  # the standard deviations of two problems are about equal
    assert np.mean([one.quality for one in found]) == pytest.approx(truth, abs=0.004)
    inside = np.mean([one.share_interval[0] <= rho <= one.share_interval[1] for one in found])
    assert 0.9 <= inside <= 1.0
    assert 0.88 <= np.mean([one.quality_interval[0] <= truth <= one.quality_interval[1] for one in found]) <= 1.0
