"""The 95% intervals hold the truth about as often as they say, and their parts equal independent computations."""

import random
from fractions import Fraction
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.intervals import (
    Cell,
    difference_interval,
    share_interval,
    t_quantile,
    variance_over_problems,
    variance_over_shared_draws,
)
from esprobe.resampling import Sampled, bootstrap, estimates, resample_draws, resample_problems, split_halves
from tests.benchmarks import coverage


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (5, 2.57058), (10, 2.22814), (127, 1.97882)]
)
def test_the_quantile_of_students_t_is_that_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, rel=2e-3)


def test_intervals_hold_the_truth_as_often_as_documented() -> None:
    rows = coverage.main(coverage.ROUNDS)
    # 150 simulations know each coverage to about ± 3.5 points
    for row in rows:
        if 0.01 <= row.truth <= 0.999:
            assert 0.80 <= row.chosen <= 1, row
        elif row.truth < 0.01:
            assert row.chosen >= 0.83, row  # so few problems solved at all that no interval can know
    ordinary = [row for row in rows if 0.02 <= row.truth <= 0.999 and "shared 2" not in row.scenario]
    assert len(ordinary) > 15
    assert all(row.chosen >= 0.90 for row in ordinary)
    assert 0.935 <= sum(row.chosen for row in ordinary) / len(ordinary) <= 0.97
    # what it is for: problems that share draws, and the ends
    shared = [row for row in rows if row.problems_only is not None and "shared 0.3" not in row.scenario and row.truth <= 0.999]
    assert sum(row.chosen for row in shared) / len(shared) > 0.9
    assert sum(row.problems_only or 0 for row in shared) / len(shared) < 0.75


@given(st.integers(2, 600), st.floats(0, 1), st.floats(1e-6, 1))
def test_an_interval_stays_within_0_and_1_and_holds_its_estimate(size: int, mean: float, part: float) -> None:
    low, high = share_interval(mean, part * mean * (1 - mean) / (size - 1), size)
    assert 0 <= low <= mean <= high <= 1
    assert low < high


@pytest.mark.parametrize("size", [2, 20, 128])
def test_all_or_nothing_is_never_certain_and_mirrors(size: int) -> None:
    t = t_quantile(size - 1)
    assert share_interval(0.0, 0.0, size) == pytest.approx((0, t * t / (size + t * t)))
    low, high = share_interval(0.2, 0.001, size)
    assert share_interval(0.8, 0.001, size) == pytest.approx((1 - high, 1 - low))
    assert share_interval(0.4, None, 1) == (0, 1)
    assert difference_interval(0.4, None, 1) == (-1, 1)


def jackknife(verdicts: list[list[int]], k: int) -> Fraction:
    """Two-way clustered variance less the variance over problems, by deleting each draw in turn, in exact fractions."""
    m, n = len(verdicts), len(verdicts[0])
    k = min(k, n - 1)

    def without(row: list[int], d: int) -> Fraction:
        return 1 - Fraction(comb(n - 1 - (sum(row) - row[d]), k), comb(n - 1, k))

    def spread(values: list[Fraction]) -> Fraction:
        mean = sum(values) / n
        return Fraction(n - 1, n) * sum((v - mean) ** 2 for v in values)

    together = spread([sum(without(row, d) for row in verdicts) / m for d in range(n)])
    alone = sum(spread([without(row, d) / m for d in range(n)]) for row in verdicts)
    return max(Fraction(0), together - alone)


@given(st.integers(1, 7), st.integers(2, 9), st.data())
def test_the_variance_of_shared_draws_equals_a_jackknife_in_exact_fractions(m: int, n: int, data: st.DataObject) -> None:
    verdicts = data.draw(st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=m, max_size=m))
    k = data.draw(st.integers(1, n))
    cells = [Cell(n, sum(row)) for row in verdicts]
    correct = {d: [(n, sum(row), 1) for row in verdicts if row[d]] for d in range(n)}
    found = variance_over_shared_draws(cells, correct, k)
    assert found == pytest.approx(float(jackknife(verdicts, k)), abs=1e-12)


def test_one_draw_says_nothing_of_draws_and_one_problem_nothing_of_problems() -> None:
    assert variance_over_shared_draws([Cell(1, 1), Cell(1, 0)], {0: [(1, 1, 1)]}, 1) is None
    assert variance_over_problems([0.5]) is None


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=1, max_size=8), st.integers(1, 40))
def test_the_vectorised_estimator_equals_exact_fractions(counts: list[tuple[int, int]], k: int) -> None:
    counts = [(max(n, k), min(c, max(n, k))) for n, c in counts]
    found = estimates(np.array([n for n, _ in counts]), np.array([c for _, c in counts]), k)
    assert found.tolist() == pytest.approx([float(1 - Fraction(comb(n - c, k), comb(n, k))) for n, c in counts], abs=1e-12)


def test_the_bootstrap_over_problems_has_the_analytic_standard_error() -> None:
    rng = np.random.default_rng(3)
    arm = Sampled(np.full(128, 64), rng.binomial(64, rng.beta(0.5, 2, 128)))
    values = bootstrap(resample_draws(arm, 4000, rng), resample_problems(128, 4000, rng), 8)
    analytic = variance_over_problems(estimates(arm.n, arm.c, 8).tolist())
    assert values.std() == pytest.approx(sqrt(analytic or 0), rel=0.05)


def test_the_bootstrap_over_shared_draws_sees_what_the_jackknife_sees() -> None:
    rng = np.random.default_rng(4)
    cells = coverage.verdicts((-1.0, 1.0, 2.0), rng)
    c = cells.sum(1).astype(int)
    arm = Sampled(np.full(128, 64), c, cells)
    values = bootstrap(resample_draws(arm, 2000, rng), resample_problems(128, 2000, rng), 1)
    correct = {d: [(64, int(c[i]), 1) for i in np.flatnonzero(cells[:, d])] for d in range(64)}
    listed = [Cell(64, int(x)) for x in c]
    problems = variance_over_problems([x / 64 for x in c.tolist()]) or 0
    total = problems + (variance_over_shared_draws(listed, correct, 1) or 0)
    assert total > 2 * problems
    assert values.std() == pytest.approx(sqrt(total), rel=0.1)


def test_an_arm_chosen_on_one_half_is_not_flattered_on_the_other() -> None:
    # twenty arms that are all the same coin: the best of them looks better than it is
    rng = np.random.default_rng(5)
    first, second = (rng.random((20, 128)) < 0.5).astype(float), (rng.random((1, 128)) < 0.5).astype(float)
    best = first.mean(1).max()
    a, b, same = split_halves(first, second, 500, 1)
    assert best > 0.55
    assert a < best - 0.04
    assert b == pytest.approx(second.mean(), abs=1e-9)  # one arm: both halves of each split average to the whole
    assert 0 < same < 1
    assert split_halves(first, second, 500, 1) == (a, b, same)


def test_uneven_depths_leave_out_the_problems_that_are_too_shallow() -> None:
    rng = random.Random(1)
    rows = [[rng.randint(0, 1) for _ in range(6)] for _ in range(4)]
    cells = [Cell(6, sum(row)) for row in rows]
    correct = {d: [(6, sum(row), 1) for row in rows if row[d]] for d in range(6)}
    with_shallow = {d: [*solved, (2, 1, 1)] if d == 0 else solved for d, solved in correct.items()}
    assert variance_over_shared_draws([*cells, Cell(2, 1)], with_shallow, 3) == variance_over_shared_draws(cells, correct, 3)
