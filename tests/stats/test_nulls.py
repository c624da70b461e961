"""What guessing and greedy decoding would score, by exact fractions and enumeration."""

from fractions import Fraction
from itertools import product
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.stats.intervals import Cell, SharedDraws
from esprobe.stats.nulls import (
    cover_by_guessing,
    distinct_values,
    greedy_and_guesses,
    guessing,
    mean_if_known,
    over_guessing,
    strata,
    taus_that_tell,
)
from esprobe.stats.paired import TAUS, cover_at


@given(st.integers(1, 40), st.integers(0, 16), st.sampled_from(TAUS))
def test_the_cover_of_guessing_is_the_exact_binomial_tail(n: int, sixteenths: int, tau: float) -> None:
    p = Fraction(sixteenths, 16)
    needed = next(c for c in range(n + 1) if cover_at([Cell(n, c)], tau))  # as cover@τ itself counts
    exact = sum((comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(needed, n + 1)), Fraction(0))
    assert cover_by_guessing(n, float(p), tau) == pytest.approx(float(exact), abs=1e-12)


@pytest.mark.parametrize("tau", TAUS)
def test_the_cover_of_guessing_is_sound_at_any_depth(tau: float) -> None:
    for p in (0.0, 1e-9, 0.017, 0.5, 1 - 1e-9, 1.0):
        assert 0 <= cover_by_guessing(4096, p, tau) <= 1
    assert cover_by_guessing(4096, 0.9, 0.5) == pytest.approx(1)
    assert cover_by_guessing(1, 0.25, tau) == pytest.approx(0.25)


def test_taus_that_a_lucky_draw_or_two_would_reach_are_left_out() -> None:
    assert taus_that_tell(TAUS, 64) == [tau for tau in TAUS if tau >= 0.05]
    assert taus_that_tell(TAUS, 200)[0] == 0.01
    assert taus_that_tell(TAUS, 100)[0] == 0.02
    assert taus_that_tell(TAUS, 2) == [1.0]
    assert taus_that_tell(TAUS, 1) == []


@given(st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_greedy_and_guesses_are_all_ways_to_guess(outcomes: int, k: int, right: bool) -> None:
    ways = [right or 0 in guesses for guesses in product(range(outcomes), repeat=k - 1)]
    assert greedy_and_guesses(float(right), 1 / outcomes, k) == pytest.approx(sum(ways) / len(ways))


def test_distinct_values_are_each_as_likely() -> None:
    assert distinct_values(40, 0.3, 1) == pytest.approx(1 / 40)
    assert distinct_values(40, 0.3, 3) == pytest.approx(1 - (39 / 40) ** 3)
    assert distinct_values(None, 0.0, 64) == 0.0
    assert distinct_values(None, 0.3, 64) is None
    assert distinct_values(40, None, 64) is None
    assert guessing(0.25, 2) == pytest.approx(7 / 16)


def test_the_difference_to_guessing_is_paired_by_problem() -> None:
    chances = [0.5, 0.125, 0.0625, 0.03125] * 8
    cells = [Cell(32, round(32 * p)) for p in chances]
    found = over_guessing(cells, chances, 1)
    # each problem is solved exactly as often as by guessing: hard and easy problems differ, the differences do not
    assert found.difference == 0
    assert found.interval is not None
    assert -0.12 < found.interval.low < 0 < found.interval.high < 0.12
    better = over_guessing([Cell(32, 24)] * 32, chances, 2)
    assert better.difference == pytest.approx(better.first - better.second)
    assert better.interval is not None
    assert better.interval.low > 0
    assert better.p is not None
    assert better.p < 0.001
    one = over_guessing(cells, chances, 1, SharedDraws(1, 1, 0.0, 0.0, 1.0))
    assert (one.interval, one.p) == (None, None)


def test_strata_are_told_only_where_every_problem_has_one() -> None:
    assert strata(["4 numbers", "3 numbers", "4 numbers"]) == {"3 numbers": [1], "4 numbers": [0, 2]}
    assert strata(["4 numbers", None]) == {}
    assert strata(["4 numbers", "4 numbers"]) == {}
    assert mean_if_known([0.5, 1.0]) == 0.75
    assert mean_if_known([0.5, None]) is None
    assert mean_if_known([]) is None
