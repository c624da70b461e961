"""The plan covers every rollout once, cuts work in fixed places, and gives each arm its own identity."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.arms import Arm
from esprobe.countdown.task import Countdown
from esprobe.errors import UserError
from esprobe.models import ModelFiles
from esprobe.plan import PlannedArm, Sweep, plan_arms, units

MODEL = ModelFiles("some/model", Path("/nowhere"), "abc")


def arms(sweep: Sweep) -> list[PlannedArm]:
    return plan_arms(sweep, Countdown(), MODEL, "transformers", "float32")


draws, problems, batches = st.integers(1, 40), st.integers(1, 50), st.integers(1, 64)
methods = st.sampled_from(["temperature", "perturbation"])


@given(methods, draws, problems, batches)
def test_units_cover_every_rollout_once_within_the_batch_size(method: str, n: int, p: int, size: int) -> None:
    planned = arms(Sweep(method, (0.5,), draws=n))[-1]
    cut = list(units(planned, p, size))
    cells = [(d, i) for unit in cut for d in unit.draws for i in unit.problems]
    assert len(cells) == len(set(cells))
    assert {c for c in cells if c[0] < n} == {(d, i) for d in range(n) for i in range(p)}
    assert all(len(u.draws) * len(u.problems) <= max(size, 1) for u in cut)
    if method == "perturbation":
        assert all(len(u.draws) == 1 for u in cut)


@given(methods, draws, st.integers(0, 40), problems, batches)
def test_extending_an_arm_cuts_it_in_the_same_places(method: str, n: int, more: int, p: int, size: int) -> None:
    short, long = (arms(Sweep(method, (0.5,), draws=d))[-1] for d in (n, n + more))
    first = list(units(short, p, size))
    assert list(units(long, p, size))[: len(first)] == first


def test_an_arm_is_identified_by_what_changes_its_distribution_and_nothing_else() -> None:
    sweep = Sweep("perturbation", (0.01,))
    base = arms(sweep)[-1].arm.digest
    same = [replace(sweep, draws=3), replace(sweep, limit=5), replace(sweep, batch_size=7), replace(sweep, greedy=False)]
    assert {arms(s)[-1].arm.digest for s in same} == {base}
    other = [
        replace(sweep, values=(0.02,)),
        replace(sweep, seed=43),
        replace(sweep, noise="shared-seed"),
        replace(sweep, prompt="plain"),
        replace(sweep, max_new_tokens=65),
        Sweep("temperature", (0.01,)),
    ]
    digests = {arms(s)[-1].arm.digest for s in other}
    assert len(digests) == len(other)
    assert base not in digests
    assert plan_arms(sweep, Countdown(), MODEL, "vllm", "float32")[-1].arm.digest != base
    assert plan_arms(sweep, Countdown(), MODEL, "transformers", "float16")[-1].arm.digest != base
    renamed = ModelFiles("another/name", Path("/nowhere"), "abc")
    assert plan_arms(sweep, Countdown(), renamed, "transformers", "float32")[-1].arm.digest == base


def test_the_greedy_baseline_is_shared_by_methods_and_seeds() -> None:
    sweeps = [Sweep("temperature", (0.5,)), Sweep("perturbation", (0.5,), seed=7, noise="shared-seed")]
    first, second = (arms(s)[0] for s in sweeps)
    assert first.arm.digest == second.arm.digest
    assert first.draws == 1
    assert [a.arm.method for a in arms(replace(sweeps[0], greedy=False))] == ["temperature"]


def test_perturbation_seeds_are_the_same_for_every_sigma() -> None:
    first, second = arms(Sweep("perturbation", (0.5, 0.6), draws=9))[1:]
    assert first.seeds == second.seeds
    assert len(set(first.seeds)) == 9


def test_streams_of_rollouts_differ_by_arm_draw_and_problem() -> None:
    arm = Arm("m", "abc", "temperature", 0.5)
    keys = {a.rollout_key(d, p) for a in (arm, replace(arm, value=0.6)) for d in range(20) for p in ("x", "y")}
    assert len(keys) == 80
    assert arm.rollout_key(3, "x") == Arm("another", "abc", "temperature", 0.5).rollout_key(3, "x")


@pytest.mark.parametrize(("method", "value"), [("temperature", 0.0), ("temperature", -1.0), ("perturbation", -0.1)])
def test_values_that_cannot_be_are_refused(method: str, value: float) -> None:
    with pytest.raises(UserError):
        Sweep(method, (value,))
    with pytest.raises(UserError):
        Sweep(method, (float("nan"),))


def test_debug_is_a_small_version_of_the_same() -> None:
    small = Sweep("temperature", (0.3, 0.4), draws=100).debug()
    assert (small.limit, small.values, small.draws) == (32, (0.3,), 32)
