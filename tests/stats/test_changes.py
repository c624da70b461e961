"""Problems won and lost, and distinct ballots: equal to plain enumeration of all choices of draws."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.stats.changes import distinct_at, won_at, won_by_luck
from esprobe.stats.intervals import Cell
from esprobe.stats.paired import paired_difference

DRAWS = st.lists(st.booleans(), min_size=2, max_size=6)


def cell(draws: list[bool]) -> Cell:
    return Cell(len(draws), sum(draws))


@given(st.lists(st.tuples(DRAWS, DRAWS), min_size=1, max_size=3), st.integers(1, 6))
def test_won_and_lost_are_the_mean_over_all_choices_of_draws(problems: list[tuple[list[bool], list[bool]]], k: int) -> None:
    k = min(k, *(len(draws) for pair in problems for draws in pair))
    expected = [Fraction(0), Fraction(0)]
    for a, b in problems:
        choices = [(any(x), any(y)) for x in itertools.combinations(a, k) for y in itertools.combinations(b, k)]
        expected[0] += Fraction(choices.count((True, False)), len(choices))
        expected[1] += Fraction(choices.count((False, True)), len(choices))
    first, second = [cell(a) for a, _ in problems], [cell(b) for _, b in problems]
    won, lost = won_at(first, second, k), won_at(second, first, k)
    assert [won, lost] == pytest.approx([float(each) for each in expected], abs=1e-12)
    assert won - lost == pytest.approx(paired_difference(first, second, k).difference * len(problems), abs=1e-12)


@given(st.lists(DRAWS, min_size=1, max_size=4))
def test_luck_is_what_two_draws_of_one_arm_win(problems: list[list[bool]]) -> None:
    expected = Fraction(0)
    for draws in problems:
        pairs = list(itertools.permutations(draws, 2))
        expected += Fraction(pairs.count((True, False)), len(pairs))
    assert won_by_luck([cell(draws) for draws in problems]) == pytest.approx(float(expected), abs=1e-12)


def test_luck_of_a_single_draw_is_not_known() -> None:
    assert won_by_luck([Cell(4, 2), Cell(1, 1)]) is None


@given(st.lists(st.sampled_from("abc-"), min_size=1, max_size=7), st.integers(1, 7))
def test_distinct_ballots_are_the_mean_over_all_choices_of_draws(ballots: list[str], k: int) -> None:
    """`-` is a draw without a ballot."""
    k = min(k, len(ballots))
    sizes = [len(set(choice) - {"-"}) for choice in itertools.combinations(ballots, k)]
    counts = [ballots.count(ballot) for ballot in set(ballots) - {"-"}]
    assert distinct_at(len(ballots), counts, k) == pytest.approx(sum(sizes) / len(sizes), abs=1e-12)
