"""The 95% intervals have about the coverage that they claim, and their parts equal independent computations."""

import random
from fractions import Fraction
from itertools import product
from math import comb, inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.stats.estimator import pass_at_k
from esprobe.stats.intervals import (
    Cell,
    Interval,
    PairedTest,
    SharedDraws,
    paired_test,
    satterthwaite,
    share_interval,
    shared_draws,
    variance_over_problems,
)
from esprobe.stats.resampling import (
    Sampled,
    bootstrap,
    bootstrap_interval,
    estimates,
    resample_draws,
    resample_problems,
)
from esprobe.stats.student import t_quantile
from tests.benchmarks import coverage


def test_intervals_hold_the_truth_as_often_as_documented() -> None:
    rows = coverage.coverage_table(300)
    # 300 simulations know each coverage to about ± 2.5 points
    own, models = [row for row in rows if "models" not in row.scenario], [row for row in rows if "models" in row.scenario]
    assert all(row.now is not None and row.now >= 0.91 for row in own)
    assert any(row.truth > 0.997 and row.before < 0.8 for row in own)  # what the lower bound of the variance is for
    assert all(row.now is None for row in models if row.draws == 1)
    assert all(row.doubted == 1 for row in models if row.draws < 8)
    assert all(row.now is not None and row.now >= 0.80 for row in models if 1 < row.draws < 8)
    skewed = [row for row in models if row.scenario.startswith("ease -6")]  # few models solve nearly all: no interval can know
    ordinary = [row for row in models if row.draws >= 8 and row not in skewed]
    assert all(row.trusted is not None and row.trusted >= 0.87 for row in ordinary)
    assert 0.94 <= sum(row.trusted or 0 for row in ordinary) / len(ordinary) <= 0.98
    assert all(row.doubted > 0.9 for row in skewed if row.draws == 64)


def test_equal_arms_are_found_different_about_as_often_as_said() -> None:
    for scenario in coverage.EQUAL[:4]:
        for models, least in ((64, 0.0), (8, 0.0), (2, 0.0)):
            for k in (1, models):
                row = coverage.sizes(scenario, models, k, 300)
                assert row.now is not None
                assert least <= row.now <= 0.085, row  # 5%, and what 300 simulations may be off
    eight = coverage.sizes(coverage.EQUAL[2], 8, 8, 300)
    assert eight.mcnemar > 0.2  # what McNemar's test would say
    skewed = coverage.sizes(coverage.EQUAL[4], 64, 1, 300)
    assert skewed.now is not None
    assert skewed.now < 0.12


def test_the_simulations_parts_are_those_of_the_package() -> None:
    cells = coverage.verdicts((-1.0, 1.0, 1.0), 3, 12, np.random.default_rng(2))
    for k in (1, 5, 12):
        for found, rows in zip(coverage.shared_parts(cells, k), cells, strict=True):
            c = [int(count) for count in rows.sum(1)]
            by_draw = {d: [(12, c[i], 1) for i in np.flatnonzero(rows[:, d])] for d in range(12)}
            exact = shared_draws([Cell(12, count) for count in c], by_draw, k)
            assert (found.k, found.models, found.effective) == (exact.k, exact.models, pytest.approx(exact.effective))
            assert (found.net, found.gross) == (pytest.approx(exact.net, abs=1e-12), pytest.approx(exact.gross, abs=1e-12))


@given(st.integers(2, 600), st.floats(0, 1), st.floats(1e-6, 1))
def test_an_interval_stays_within_0_and_1_and_holds_its_estimate(size: int, mean: float, part: float) -> None:
    interval = share_interval(mean, part * mean * (1 - mean) / (size - 1), size)
    assert interval is not None
    low, high = interval
    assert 0 <= low <= mean <= high <= 1
    assert low < high


def ends(mean: float, variance: float | None, size: int, shared: SharedDraws | None = None) -> tuple[float, float]:
    """The interval's two ends."""
    interval = share_interval(mean, variance, size, shared)
    assert interval is not None
    return interval.low, interval.high


@pytest.mark.parametrize("size", [2, 20, 128])
def test_all_or_nothing_is_never_certain_and_mirrors(size: int) -> None:
    t = t_quantile(size - 1)
    assert ends(0.0, 0.0, size) == pytest.approx((0, t * t / (size + t * t)))
    low, high = ends(0.2, 0.001, size)
    assert ends(0.8, 0.001, size) == pytest.approx((1 - high, 1 - low))
    assert share_interval(0.4, None, 1) == Interval(0, 1, "1 problem")
    assert paired_test([0.4]) == PairedTest(0.4, Interval(-1, 1, "1 problem"), None)


@pytest.mark.parametrize("mean", [0.002, 0.02, 0.98, 0.994, 0.998])
def test_near_the_ends_the_variance_is_at_least_binomial(mean: float) -> None:
    # as wide as if each problem were solved or not at all, since so few problems cannot show how they vary
    assert ends(mean, 1e-7, 128) == ends(mean, mean * (1 - mean) / 128, 128)
    low, high = ends(mean, 0.01, 128)
    assert high - low > ends(mean, 1e-7, 128)[1] - ends(mean, 1e-7, 128)[0]
    assert ends(0.5, 1e-7, 128)[1] < 0.51  # in the middle the variance is what it is


def test_an_interval_does_not_jump_where_the_last_problem_is_solved() -> None:
    # the band of a plot has no wedge: as the mean comes to 1 the interval comes to that of a mean of 1
    below = [ends(1 - miss / 128, (miss / 128) ** 2 / 128, 128)[0] for miss in (1e-9, 0.01, 0.1, 1.0, 2.0)]
    assert below == sorted(below, reverse=True)
    assert below[0] == pytest.approx(ends(1.0, 0.0, 128)[0], abs=1e-6)


def test_all_solved_is_as_unsure_as_one_model_less_would_leave_it() -> None:
    sure, by_one = SharedDraws(8, 8, 0.0, 0.0, 8), SharedDraws(8, 8, 0.5, 0.6, 1.2)
    assert ends(1.0, 0.0, 6, sure) == pytest.approx(ends(1.0, 0.0, 6))
    assert ends(1.0, 0.0, 6, by_one) == (0.0, 1.0)


def test_equal_shares_up_to_rounding_are_equal_shares() -> None:
    assert ends(0.3, 1e-34, 128) == pytest.approx(ends(0.3, 0.0, 128))


def test_no_counts_are_without_an_interval() -> None:
    for n in range(2, 6):
        for a, b in product(range(n + 1), repeat=2):
            cells = [Cell(n, a), Cell(n, b)]
            correct = {d: [(n, c, 1) for c in (a, b) if d < c] for d in range(n)}
            for k in range(1, n + 1):
                shared = shared_draws(cells, correct, k)
                each = [pass_at_k(n, c, k) for c in (a, b)]
                low, high = ends(sum(each) / 2, variance_over_problems(each), 2, shared)
                assert 0 <= low <= sum(each) / 2 <= high <= 1


def test_a_single_model_has_no_interval_and_few_models_are_doubted() -> None:
    assert share_interval(0.1, 0.001, 128, SharedDraws(1, 1, 0.0, 0.0, 1.0)) is None
    assert paired_test([0.1, 0.2, 0.3], [SharedDraws(1, 1, 0.0, 0.0, 1.0)]) == PairedTest(pytest.approx(0.2), None, None)
    for models, k, doubt in [
        (2, 1, "few models (2)"),
        (7, 1, "few models (7)"),
        (8, 4, ""),
        (8, 8, "few models (8)"),
        (16, 16, ""),
    ]:
        interval = share_interval(0.3, 0.001, 128, SharedDraws(k, models, 0.001, 0.002, models))
        assert interval is not None
        assert (interval.doubt, interval.trustworthy) == (doubt, not doubt)
    led = share_interval(0.3, 0.001, 128, SharedDraws(1, 64, 0.001, 0.002, 2.0))
    assert led is not None
    assert led.doubt == "a few models do most of the solving"


@given(st.floats(1e-6, 1), st.floats(1e-6, 1), st.integers(2, 300), st.integers(16, 600))
def test_degrees_of_freedom_are_satterthwaites(over_problems: float, models: float, size: int, count: int) -> None:
    found = satterthwaite(over_problems, size, SharedDraws(1, count, models, models, count))
    formula = (over_problems + models) ** 2 / (over_problems**2 / (size - 1) + models**2 / (count - 1))
    assert found == pytest.approx(max(1.0, min(size - 1, formula)))
    assert min(size - 1, count - 1) <= found * (1 + 1e-9)


def test_few_models_leave_more_open_than_many() -> None:
    widths = []
    for models in (2, 4, 8, 64):
        low, high = ends(0.3, 0.001, 128, SharedDraws(1, models, 0.002, 0.002, models))
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=40))
def test_a_difference_holds_its_estimate_and_mirrors_with_the_arms(each: list[float]) -> None:
    found, back = paired_test(each), paired_test([-d for d in each])
    assert found.interval is not None
    assert back.interval is not None
    assert -1 <= found.interval.low <= found.difference + 1e-12
    assert found.difference - 1e-12 <= found.interval.high <= 1
    assert (back.interval.low, back.interval.high) == pytest.approx((-found.interval.high, -found.interval.low), abs=1e-9)
    assert found.p == pytest.approx(back.p)
    # one and the same variance: 0 is outside exactly where p is below 5%
    if found.p is not None and abs(found.p - 0.05) > 1e-9 and found.interval.low > -1 and found.interval.high < 1:
        assert (found.p < 0.05) == (not found.interval.low <= 0 <= found.interval.high)


def test_a_difference_that_few_problems_make_is_no_certainty() -> None:
    for each in ([0.0] * 128, [0.01] + [0.0] * 127, [0.2, 0.01] + [0.0] * 126):
        found = paired_test(each)
        assert found.interval is not None
        assert found.interval.high - found.interval.low > 0.05
        assert found.p is not None
        assert found.p > 0.3


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
    found = shared_draws(cells, correct, k)
    assert found.net == pytest.approx(float(jackknife(verdicts, k)), abs=1e-12)
    assert found.gross >= found.net
    assert found.careful == found.gross  # so few models: nothing is subtracted


def test_one_draw_says_nothing_of_draws_and_one_problem_nothing_of_problems() -> None:
    assert shared_draws([Cell(1, 1), Cell(1, 0)], {0: [(1, 1, 1)]}, 1) == SharedDraws(1, 1, 0.0, 0.0, inf)
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
    cells = coverage.verdicts((-1.0, 1.0, 2.0), 1, 64, rng)[0].astype(float)
    c = cells.sum(1).astype(int)
    arm = Sampled(np.full(128, 64), c, cells)
    values = bootstrap(resample_draws(arm, 2000, rng), resample_problems(128, 2000, rng), 1)
    correct = {d: [(64, int(c[i]), 1) for i in np.flatnonzero(cells[:, d])] for d in range(64)}
    listed = [Cell(64, int(x)) for x in c]
    problems = variance_over_problems([x / 64 for x in c.tolist()]) or 0
    total = problems + shared_draws(listed, correct, 1).net
    assert total > 2 * problems
    assert values.std() == pytest.approx(sqrt(total), rel=0.1)


def test_a_bootstrap_interval_holds_its_own_estimate_however_skewed_its_resamples() -> None:
    low, high = bootstrap_interval(np.array([1.0] * 99 + [0.0]), 0.99)
    assert low <= 0.99 <= high


def test_a_bootstrap_interval_of_few_is_as_wide_as_students_t_makes_it() -> None:
    rng = np.random.default_rng(8)
    means = rng.normal(0, 1, (8, 20_000)).mean(0) * sqrt(7 / 8)  # what resamples of eight vary by, in the mean
    low, high = bootstrap_interval(means, 0.0, 8)
    assert high - low == pytest.approx(2 * t_quantile(7) / sqrt(8), rel=0.03)


def test_uneven_depths_leave_out_the_problems_that_are_too_shallow() -> None:
    rng = random.Random(1)
    rows = [[rng.randint(0, 1) for _ in range(6)] for _ in range(4)]
    cells = [Cell(6, sum(row)) for row in rows]
    correct = {d: [(6, sum(row), 1) for row in rows if row[d]] for d in range(6)}
    with_shallow = {d: [*solved, (2, 1, 1)] if d == 0 else solved for d, solved in correct.items()}
    found, alone = shared_draws([*cells, Cell(2, 1)], with_shallow, 3), shared_draws(cells, correct, 3)
    assert found == alone
