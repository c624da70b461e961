"""Training in numbers: z-scores against numpy, seeds that differ, problems in a seeded order without replacement."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.errors import UserError
from esprobe.plan.training import Training, coefficients


def training(**changed: object) -> Training:
    settings = {"name": "t", "iterations": 3, "population": 4, "sigma": 0.01, "learning_rate": 0.01, "problems_per_iteration": 5}
    return Training(**(settings | changed))  # type: ignore[arg-type]  # the test's own dictionary


@given(st.lists(st.floats(0, 1), min_size=2, max_size=64), st.floats(1e-6, 1))
def test_coefficients_are_the_published_z_scores(rewards: list[float], rate: float) -> None:
    array = np.array(rewards)
    z = (array - array.mean()) / (array.std() + 1e-8)
    # of rewards that differ by nothing but rounding, numpy's mean need not be one of them
    assert np.allclose(coefficients(rewards, rate), rate / len(rewards) * z, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("reward", [0.0, 0.1, 1 / 3, 1.0])
def test_equal_rewards_change_nothing(reward: float) -> None:
    assert coefficients([reward] * 7, 0.5) == [0.0] * 7


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**53 - 1))
def test_problems_come_once_each_before_any_comes_again(problems: int, wanted: int, seed: int) -> None:
    if wanted > problems:
        with pytest.raises(UserError, match=f"there are only {problems} training problems"):
            next(training(problems_per_iteration=wanted, seed=seed).batches(problems))
        return
    made = training(problems_per_iteration=wanted, seed=seed)
    found = list(islice(made.batches(problems), 12))
    assert found == list(islice(made.batches(problems), 12))
    assert all(len(set(batch)) == wanted for batch in found)
    used = [0] * problems
    for batch in found:
        for i in batch:
            used[i] += 1
        assert max(used) - min(used) <= 2  # where an order ends within an iteration, one problem may wait for the next
    assert sum(used) == 12 * wanted


def test_the_rate_halves_whatever_the_number_of_iterations() -> None:
    assert [training(learning_rate=0.02).rate(t) for t in (0, 1, 99)] == [0.02] * 3
    for iterations in (3, 300):
        made = training(learning_rate=0.02, half_life=4, iterations=iterations)
        assert [made.rate(t) for t in (0, 4, 8)] == [0.02, 0.01, 0.005]
        assert 0.01 < made.rate(2) < 0.02


def test_iterations_and_seeds_share_no_noise() -> None:
    seeds = [training(seed=seed).iteration_seed(t) for seed in range(20) for t in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**53 for seed in seeds)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"name": "a@b"}, "has no @"),
        ({"name": ""}, "is not empty"),
        ({"iterations": 0}, "--iterations must be at least 1"),
        ({"half_life": 0.0}, "--half-life must be above 0"),
        ({"half_life": float("nan")}, "--half-life must be above 0"),
        ({"population": 1}, "--population must be at least 2"),
        ({"sigma": 0.0}, "--sigma must be above 0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be above 0"),
        ({"seed": -1}, "--seed must be from 0"),
    ],
)
def test_what_no_training_can_be_is_refused(changed: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        training(**changed)
