"""Tails and quantiles equal closed forms and published tables, for whole and fractional degrees of freedom."""

from math import atan, erfc, exp, pi, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.stats.student import Z, chi_square_tail, t_quantile, two_sided_p


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062047), (2, 4.3026527), (3, 3.1824463), (5, 2.5705818), (10, 2.2281389), (30, 2.0422725), (127, 1.9788195)],
)
def test_the_quantile_of_students_t_is_that_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, rel=1e-7)


@given(st.floats(1, 1e5))
def test_the_quantile_leaves_5_percent_outside_and_falls_with_the_freedom(freedom: float) -> None:
    assert two_sided_p(t_quantile(freedom), freedom) == pytest.approx(0.05, abs=1e-10)
    assert Z < t_quantile(freedom + 0.5) < t_quantile(freedom)


@given(st.floats(-1e4, 1e4))
def test_the_tail_of_t_is_the_closed_form_of_one_and_two_degrees_of_freedom(t: float) -> None:
    assert two_sided_p(t, 1) == pytest.approx(1 - 2 * atan(abs(t)) / pi, abs=1e-12)
    assert two_sided_p(t, 2) == pytest.approx(1 - abs(t) / sqrt(2 + t * t), abs=1e-12)


@given(st.floats(0, 700))
def test_the_tail_of_chi_square_is_the_closed_form(x: float) -> None:
    assert chi_square_tail(x, 1) == pytest.approx(erfc(sqrt(x / 2)), abs=1e-12)
    assert chi_square_tail(x, 2) == pytest.approx(exp(-x / 2), abs=1e-12)
    assert chi_square_tail(x, 6) == pytest.approx(exp(-x / 2) * (1 + x / 2 + x * x / 8), abs=1e-12)


@pytest.mark.parametrize(("freedom", "x"), [(63, 82.5287), (7, 14.0671), (199, 232.9118)])
def test_the_tail_of_chi_square_is_that_of_the_tables(freedom: int, x: float) -> None:
    assert chi_square_tail(x, freedom) == pytest.approx(0.05, abs=1e-5)
