"""How much perturbed models differ is told apart from luck, and the best of many is worth what it does elsewhere."""

from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.stats.quality import spread
from tests.benchmarks import coverage


def variance_of_models(rows: list[list[int]]) -> Fraction:
    """Among models, of the share of problems that each solves."""
    m, n = len(rows), len(rows[0])
    shares = [Fraction(sum(column), m) for column in zip(*rows, strict=True)]
    mean = sum(shares) / n
    return sum(((share - mean) ** 2 for share in shares), Fraction(0)) / (n - 1)


@given(st.integers(2, 4), st.integers(1, 3), st.data())
def test_luck_is_the_mean_variance_over_all_exchanges_of_verdicts_among_models(n: int, m: int, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=m, max_size=m))
    found = spread([sum(column) for column in zip(*rows, strict=True)], [sum(row) for row in rows])
    assert found is not None
    exchanged = [variance_of_models([list(row) for row in way]) for way in product(*(set(permutations(row)) for row in rows))]
    assert found.observed == pytest.approx(float(variance_of_models(rows)), abs=1e-12)
    assert found.luck == pytest.approx(float(sum(exchanged, Fraction(0)) / len(exchanged)), abs=1e-12)
    assert found.true == pytest.approx(found.observed - found.luck)


def test_a_single_model_and_verdicts_that_never_differ_have_no_p() -> None:
    assert spread([3], [1, 1, 1]) is None
    alike = spread([2, 2], [2, 2, 0])
    assert alike is not None
    assert (alike.true, alike.tau, alike.p) == (0, 0, None)


@pytest.mark.parametrize("models", [8, 64])
@pytest.mark.parametrize("rates", [(0.5, 2.0), (2.0, 2.0)])
def test_equal_models_are_found_different_as_often_as_said(models: int, rates: tuple[float, float]) -> None:
    share = coverage.luck(models, rates, 1500)
    assert share is not None
    assert 0.035 <= share <= 0.065  # 1,500 simulations know it to about ± 1.1 points


def test_true_differences_are_estimated_without_bias_and_found() -> None:
    rng = np.random.default_rng(3)
    quality = rng.normal(0.4, 0.05, (300, 1, 64))
    cells = rng.random((300, 128, 64)) < quality
    found = [one for a, c in zip(cells.sum(1), cells.sum(2), strict=True) if (one := spread(a.tolist(), c.tolist()))]
    assert np.mean([one.true for one in found]) == pytest.approx(0.05**2, rel=0.05)
    assert np.mean([one.p is not None and one.p < 0.05 for one in found]) > 0.9
