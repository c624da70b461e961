"""What a base offers for a budget: settings are chosen where nothing is tested, and no budget is exceeded."""

import numpy as np
import pytest

from esprobe.analysis.families import FamilyArm
from esprobe.analysis.samplers import Sampler, Samplers
from esprobe.methods import MethodName
from esprobe.stats.samplers import Drawn
from esprobe.stats.top_votes import coded

TESTED, CHOICE = 10, 6  # problems


def drawn(draws: int, problems: int, right: float, seed: int = 0) -> Drawn:
    """Draws of which this share is right; wrong ones have ballots of their own."""
    rng = np.random.default_rng(seed)
    solved = rng.random((draws, problems)) < right
    ballots = np.where(solved, 0, 1 + np.arange(draws)[:, None])
    return Drawn(solved, {"value": coded(ballots.astype(np.int64), solved)})


def arm(arm_id: int, method: MethodName, value: float | None) -> FamilyArm:
    return FamilyArm(arm_id, "d", "countdown", method, value, {})


def sampler(arm_id: int, method: MethodName, value: float | None, tested: float, scored: float, draws: int = 8) -> Sampler:
    return Sampler(arm(arm_id, method, value), drawn(draws, TESTED, tested, 1), drawn(draws, CHOICE, scored, 2))


def test_the_temperature_is_chosen_where_nothing_is_tested() -> None:
    flattering, honest = sampler(1, "temperature", 0.4, 1.0, 0.0), sampler(2, "temperature", 0.8, 0.0, 1.0)
    for measure in ("value", "pass"):
        best = Samplers([flattering, honest], CHOICE, TESTED).best(measure, 4 * TESTED)
        assert best is not None
        assert (best.arm.arm_id, best.own, best.value) == (2, 4, 0.0)


def test_without_problems_to_choose_on_the_tested_ones_have_to_do() -> None:
    arms = [Sampler(arm(i, "temperature", i / 10), drawn(8, TESTED, right), None) for i, right in ((4, 0.0), (8, 1.0))]
    best = Samplers(arms, 0, TESTED).best("pass", 4 * TESTED)
    assert best is not None
    assert best.arm.arm_id == 8


@pytest.mark.parametrize(("total", "own"), [(TESTED, 1), (4 * TESTED - 1, 3), (4 * TESTED, 4), (100 * TESTED, 8)])
def test_a_budget_buys_whole_draws_for_all_problems_as_far_as_they_are_stored(total: int, own: int) -> None:
    best = Samplers([sampler(1, "temperature", 0.4, 0.5, 0.5)], CHOICE, TESTED).best("pass", total)
    assert best is not None
    assert best.own == own


def test_choosing_models_costs_their_answers_where_they_are_chosen() -> None:
    """Of models of which one is right everywhere, choosing it is best, but the budget must have all that are chosen from."""
    models = 32
    solved = np.zeros((models, TESTED + CHOICE), dtype=bool)
    solved[5] = True
    parts = [solved[:, :TESTED], solved[:, TESTED:]]
    both = [Drawn(p, {"value": coded(np.where(p, 0, -1).astype(np.int64), p)}) for p in parts]
    offers = Samplers([Sampler(arm(1, "perturbation", 0.01), both[0], both[1])], CHOICE, TESTED)
    for size in (8, 16, 32):
        spent = offers.best("value", size * CHOICE + TESTED)
        assert spent is not None
        assert spent.before + spent.own * TESTED <= size * CHOICE + TESTED
    whole = offers.at("value", "best of N", models)
    assert whole is not None
    assert (whole.size, whole.own, whole.before, whole.value) == (models, 1, models * CHOICE, 1.0)
    half = offers.at("value", "best of N", models // 2)
    assert half is not None
    assert half.value == pytest.approx(1 / 2)  # how probably it is among half of the models


def test_perturbed_models_bring_a_variance_of_their_own() -> None:
    found = Samplers(
        [sampler(1, "perturbation", 0.01, 0.5, 0.5, 40), sampler(2, "temperature", 1.0, 0.5, 0.5, 40)], CHOICE, TESTED
    )
    models, samples = found.at("value", "best of N", 32), found.at("value", "temperature", 32)
    assert models is not None
    assert samples is not None
    assert models.of_models > 0
    assert (samples.of_models, samples.models) == (0, 0)
