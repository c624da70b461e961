"""The best of many is compared where it was not chosen: on other problems and other draws."""

from pathlib import Path

import numpy as np
import pytest

from esprobe.analysis.arms import Filter
from esprobe.analysis.comparison import compare
from esprobe.analysis.reading import open_database
from esprobe.stats.halves import best_model, compare_held, mixture, quarters, split
from esprobe.stats.intervals import Cell, shared_draws
from tests.benchmarks import coverage
from tests.helpers.made import make


def test_each_quarter_is_the_mean_over_its_problems_and_draws() -> None:
    rng = np.random.default_rng(1)
    verdicts = (rng.random((7, 5)) < 0.4).astype(float)
    halves = split(7, 5, 3, 2)
    found = quarters(verdicts, halves, 1)
    assert halves.problems.sum(0).tolist() == [3, 3, 3]
    assert halves.draws.sum(0).tolist() == [2, 2, 2]
    for s in range(3):
        rows, columns = halves.problems[:, s] == 1, halves.draws[:, s] == 1
        ways = [(rows, columns), (~rows, ~columns), (rows, ~columns), (~rows, columns)]
        assert found[:, s].tolist() == pytest.approx([verdicts[np.ix_(*way)].mean() for way in ways])


def test_samples_of_one_model_are_in_one_half() -> None:
    draws = split(4, 5, 30, 2, samples=3).draws
    assert draws.shape == (15, 30)
    assert (draws.reshape(5, 3, 30) == draws[::3, None]).all()
    assert draws.sum(0).tolist() == [6.0] * 30


def test_the_best_of_equal_arms_is_not_flattered_where_it_is_compared() -> None:
    found = coverage.curse(arms=6, draws=64, rounds=150, splits=20)
    assert found.flattered > 0.05
    assert found.before > 0.05  # other problems alone are not enough: the models are the same
    assert abs(found.now) < 0.008  # 150 simulations know it to about ± 0.4 points
    assert found.holds >= 0.9


def test_the_choice_among_halves_is_shared_among_equals() -> None:
    same = np.ones((3, 4, 5))
    held = compare_held(list(same), list(same[:1] * 0.5), (1, 0))
    assert (held.first, held.second) == (1.0, 0.5)
    assert held.first_shares.tolist() == pytest.approx([1 / 3] * 3)
    assert held.same == pytest.approx(1 / 3)


def test_a_mixture_of_one_is_that_one() -> None:
    rng = np.random.default_rng(2)
    verdicts = (rng.random((20, 12)) < rng.beta(1, 2, (20, 1))).astype(float)
    cells = [Cell(12, int(c)) for c in verdicts.sum(1)]
    by_draw = {d: [(12, cells[i].c, 1) for i in np.flatnonzero(verdicts[:, d])] for d in range(12)}
    found = mixture([verdicts, 1 - verdicts], np.array([1.0, 0.0]), 3, [1, 1])
    assert found.shared == shared_draws(cells, by_draw, 3)
    pairs, wanted = mixture([verdicts], np.array([1.0]), 3, [2]).shared, shared_draws(cells, by_draw, 3, 2)
    assert pairs is not None
    assert (pairs.models, pairs.net) == (6, pytest.approx(wanted.net))
    assert mixture([verdicts], np.array([1.0]), 1).each.tolist() == pytest.approx([c.c / 12 for c in cells])


def test_the_best_of_equal_models_is_worth_no_more_than_any_elsewhere() -> None:
    rng = np.random.default_rng(5)
    found = [best_model((rng.random((128, 200)) < 0.3).astype(float), 20, 1) for _ in range(100)]
    assert np.mean([one.on_chosen for one in found]) > 0.4
    assert np.mean([one.on_held for one in found]) == pytest.approx(0.3, abs=0.01)
    assert found[0].shares.sum() == pytest.approx(1)


def test_a_model_that_is_truly_better_stays_so_elsewhere() -> None:
    rng = np.random.default_rng(6)
    quality = np.full(64, 0.3)
    quality[17] = 0.7
    found = best_model((rng.random((128, 64)) < quality).astype(float), 200, 1)
    assert found.on_held > 0.6
    assert found.shares.argmax() == 17


def test_where_there_is_nothing_to_halve_nothing_is_claimed(tmp_path: Path) -> None:
    make(tmp_path / "r.db", [("temperature", 0.5, {0: "+", 1: "-"}), ("perturbation", 0.01, {0: "-", 1: "+"})])
    (one,) = compare(open_database(tmp_path / "r.db"), Filter())
    assert one.choice is not None
    assert one.halves is None  # a single draw
    assert one.steps[0].difference.interval is None  # a single model
    assert one.steps[0].difference.p is None
    assert one.steps[0].bootstrap is None
    assert one.overlap.p is None
    assert one.draws[0].spread is None
    assert one.draws[0].held_out is None
    assert one.cover == []
