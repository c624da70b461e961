"""Selection with its uncertainty: what it finds in populations of which the truth is known, equal ones among them."""

from dataclasses import replace

import numpy as np
import pytest

from esprobe.stats import reselection
from esprobe.stats.reselection import select
from tests.benchmarks.selection import Coverage, World, coverage, drawn, size_of_test

ROUNDS = 40


@pytest.fixture(autouse=True)
def few_shuffles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reselection, "SHUFFLES", 39)


def by_key(found: list[Coverage]) -> dict[tuple[str, int | None], Coverage]:
    return {(one.quantity, one.at): one for one in found}


@pytest.mark.parametrize("file", [True, False])
def test_known_populations_are_recovered(file: bool) -> None:
    """Intervals hold the truth about as often as they say, and estimates are unbiased; the benchmark has the exact shares."""
    found = by_key(coverage(World(20, 46), 60, 60, 40, ROUNDS, (1, 4, 10, 40), (1, 4), file))
    for quantity, at in [
        ("best_test", 4),
        ("best_test", 10),
        *([("best_test", 40)] if file else []),
        ("best_train", 4),
        ("vote_test", 4),
        ("any_test", 4),
        ("tau2", None),
    ]:
        one = found[quantity, at]
        assert one.intervals is not None
        assert one.intervals.holds >= 0.82, one  # 95% less four standard errors
        assert abs(one.estimate - one.truth) < 0.02, one
    for quantity, at in [("best_test", 40), ("gain_test", 40), ("vote_test", 1), ("any_test", 1), ("vote_over_random", 1)]:
        one = found[quantity, at]
        assert (one.intervals is None) == (not file), one  # on halves they would hold less often than they say
        assert abs(one.estimate - one.truth) < 0.02, one


def test_equal_models_are_seldom_taken_for_different_ones() -> None:
    assert size_of_test(30, 60, 0.3, 100) <= 0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5


def test_equal_models_look_as_the_shuffled_ones_do() -> None:
    found = select(drawn(World(0, 0.3), 200, 64, np.random.default_rng(1)), None, (1, 8, 64), (4,))
    for kind in ("train", "test"):
        for size in (8, 64):
            null = found.at(f"best_{kind}_null")[size].interval
            assert null is not None
            assert null.low - 0.01 <= found.at(f"best_{kind}")[size].value <= null.high + 0.01
    assert found.p is not None
    assert found.p > 0.01


def test_models_of_one_seed_are_resampled_together() -> None:
    """Twice the same models are no more certain than once: the intervals stay as wide."""
    once = drawn(World(20, 46), 80, 30, np.random.default_rng(2))
    twice = replace(
        once,
        correct=np.concatenate([once.correct, once.correct], axis=1),
        ballots=replace(once.ballots, codes=np.tile(once.ballots.codes, (2, 1)), solved=np.tile(once.ballots.solved, (2, 1))),
        families=np.tile(once.families, 2),
    )
    widths = []
    for population in (once, twice, replace(twice, families=np.arange(60))):
        interval = select(population, np.arange(80) < 40, (1,), ()).at("best_test")[1].interval
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.1)
    assert widths[2] < widths[0]


def test_intervals_that_rest_on_few_right_answers_say_so() -> None:
    found = select(drawn(World(20, 380), 400, 30, np.random.default_rng(5)), None, (1, 4), (4,))
    few = "fewer than 20 right answers per model"
    for name, of in (("best_test", "best_test"), ("gain_test", "best_test"), ("vote_over_random", "vote_test")):
        for at, figure in found.at(name).items():
            assert figure.interval is not None
            assert figure.interval.doubt == (few if found.at(of)[at].value * 400 < 20 else ""), figure
    doubts = {figure.interval.doubt for figure in found.at("best_test").values() if figure.interval is not None}
    assert doubts == {few, ""}
    assert found.spread.interval is not None
    assert found.spread.interval.doubt == few
