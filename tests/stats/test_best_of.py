"""The best of N models: exact expectations against counting every subset, and numbers that do not overflow."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.stats.best_of import Pools, powers, within


def by_counting(scores: list[int], size: int) -> list[float]:
    """How probably each model is the best of `size`: over all subsets, models of the best score sharing it as a coin would."""
    weights = [0.0] * len(scores)
    subsets = list(combinations(range(len(scores)), size))
    for subset in subsets:
        top = [i for i in subset if scores[i] == max(scores[j] for j in subset)]
        for i in top:
            weights[i] += 1 / len(top) / len(subsets)
    return weights


@given(st.lists(st.integers(0, 4), min_size=1, max_size=7), st.data())
def test_the_best_of_n_is_that_of_all_subsets(scores: list[int], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(scores)))
    assert Pools(np.array([scores])).best(size)[0] == pytest.approx(by_counting(scores, size), abs=1e-12)


def test_a_model_that_is_in_the_pool_twice_counts_twice() -> None:
    twice = Pools(np.array([[3, 1, 2]]), np.array([[1, 2, 0]])).best(2)[0]
    assert twice.tolist() == pytest.approx([2 / 3, 1 / 3, 0])  # {3, 1}, {3, 1}, {1, 1}


def test_rows_are_pools_by_themselves() -> None:
    found = Pools(np.array([[0, 5, 900], [70, 2, 2]])).best(3)
    assert found.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_five_thousand_models_neither_overflow_nor_lose_digits() -> None:
    shares = within(5000, 2500)
    assert shares[5000] == 1
    assert shares[4990] == pytest.approx(comb(4990, 2500) / comb(5000, 2500), rel=1e-12)
    weights = Pools(np.arange(5000)[None]).best(7)[0]
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights[4000] == pytest.approx(comb(4000, 6) / comb(5000, 7), rel=1e-9)


def test_more_than_there_are_cannot_be_chosen() -> None:
    with pytest.raises(ValueError, match="N = 4, n = 3"):
        within(3, 4)


def test_the_sizes_are_powers_of_two_and_all() -> None:
    assert powers(200) == [1, 2, 4, 8, 16, 32, 64, 128, 200]
    assert powers(1) == [1]
