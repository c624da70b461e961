"""The plan covers every rollout once, cuts work in fixed places, and gives each arm its own identity."""

import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.arms import Arm, perturbation_seed
from esprobe.errors import UserError
from esprobe.plan.sweep import PlannedArm, Resolved, Sweep, plan_arms, units

RESOLVED = Resolved(
    model="some/model",
    model_digest="abc",
    new_tokens=1024,
    backend="transformers",
    dtype="float32",
    prompts={"prompt": "chat", "prompt_digest": "w", "template": "t"},
    end_ids=(3, 2),
)


def arms(sweep: Sweep, resolved: Resolved = RESOLVED) -> list[PlannedArm]:
    return plan_arms(sweep, "countdown", resolved)


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
    first, extended = ([(unit.draws, unit.problems) for unit in units(planned, p, size)] for planned in (short, long))
    assert extended[: len(first)] == first


def test_an_arm_is_identified_by_what_changes_its_distribution_and_nothing_else() -> None:
    sweep = Sweep("perturbation", (0.01,))
    base = arms(sweep)[-1].arm.digest
    same = [replace(sweep, draws=3), replace(sweep, limit=5), replace(sweep, batch_size=7), replace(sweep, greedy=False)]
    assert {arms(s)[-1].arm.digest for s in same} == {base}
    other = [
        replace(sweep, values=(0.02,)),
        replace(sweep, seed=43),
        replace(sweep, noise="shared-seed"),
        replace(sweep, max_new_tokens=65),
        Sweep("temperature", (0.01,)),
    ]
    digests = {arms(s)[-1].arm.digest for s in other}
    assert len(digests) == len(other)
    assert base not in digests
    renamed = replace(RESOLVED, model="another/name")
    assert plan_arms(sweep, "countdown", renamed)[-1].arm.digest == base
    assert plan_arms(sweep, "another", RESOLVED)[-1].arm.digest != base
    engines = [
        replace(RESOLVED, backend="vllm"),
        replace(RESOLVED, dtype="float16"),
        replace(RESOLVED, end_ids=(2,)),
        replace(RESOLVED, prompts={**RESOLVED.prompts, "template": "u"}),
        replace(RESOLVED, prompts={**RESOLVED.prompts, "today": "2024-07-26"}),
    ]
    assert len({arms(sweep, other)[-1].arm.digest for other in engines} | {base}) == 6
    assert arms(sweep, replace(RESOLVED, end_ids=(2, 3, 2)))[-1].arm.digest == base
    assert arms(sweep)[-1].arm.settings["end_ids"] == [2, 3]
    assert arms(sweep)[-1].arm.settings["text"] == "all but end tokens"


def test_the_device_is_part_of_an_arm_only_where_its_generator_makes_the_noise() -> None:
    def digests(sweep: Sweep) -> set[str]:
        return {arms(sweep, replace(RESOLVED, device=device))[-1].arm.digest for device in ("cpu", "NVIDIA A100")}

    assert len(digests(Sweep("perturbation", (0.01,)))) == 1
    assert len(digests(Sweep("temperature", (0.5,), noise="shared-seed"))) == 1
    assert len(digests(Sweep("perturbation", (0.01,), noise="shared-seed"))) == 2


def test_seeds_are_numbers_that_every_reader_of_json_reads_exactly() -> None:
    seeds = [perturbation_seed("iid", 42, draw) for draw in range(2000)]
    assert all(int(float(seed)) == seed < 2**53 for seed in seeds)
    assert max(seeds) > 2**52
    assert arms(Sweep("perturbation"))[-1].arm.settings["seeds"] == "53 bits"
    assert "seeds" not in arms(Sweep("perturbation", noise="shared-seed"))[-1].arm.settings
    assert Sweep("temperature", seed=2**53 - 1).seed == 2**53 - 1
    for seed in (2**53, -1):
        with pytest.raises(UserError, match="seed must be"):
            Sweep("temperature", seed=seed)


def test_zero_has_no_sign() -> None:
    assert Arm("m", "d", "perturbation", -0.0).digest == Arm("m", "d", "perturbation", 0).digest
    assert str(Arm("m", "d", "imported", -0.0).value) == "0.0"


def test_labels_of_unlike_values_are_unlike() -> None:
    labels = [Arm("m", "d", "temperature", value).label for value in (0.1, 0.10000001, 0.1 * 3, 0.3, 1, 1e-5)]
    assert labels[:2] == ["temperature 0.1", "temperature 0.10000001"]
    assert len(set(labels)) == 6


def test_a_truncation_is_part_of_a_temperature_arm_only_where_it_excludes_tokens() -> None:
    plain = Sweep("temperature", (0.5,))
    assert not {"top_p", "top_k", "min_p"} & arms(plain)[-1].arm.settings.keys()
    nothing: list[dict[str, Any]] = [{"top_p": 1.0}, {"top_k": 0}, {"min_p": 0.0}]
    assert {arms(replace(plain, **own))[-1].arm.digest for own in nothing} == {arms(plain)[-1].arm.digest}
    assert Sweep("perturbation", top_p=1.0).truncation() == {}
    other: list[dict[str, Any]] = [
        {"top_p": 0.9},
        {"top_p": 0.95},
        {"top_k": 1},
        {"top_k": 50},
        {"min_p": 0.9},
        {"min_p": 1.0},
        {"top_p": 0.9, "top_k": 50},
    ]
    made = [arms(replace(plain, **own)) for own in other]
    assert len({planned[-1].arm.digest for planned in made} | {arms(plain)[-1].arm.digest}) == len(other) + 1
    assert {planned[0].arm.digest for planned in made} == {arms(plain)[0].arm.digest}  # greedy decoding takes none
    assert arms(replace(plain, min_p=1))[-1].arm.digest == arms(replace(plain, min_p=1.0))[-1].arm.digest


def test_a_truncation_is_named_in_the_label() -> None:
    plain = Sweep("temperature", (0.8,))
    assert arms(replace(plain, top_p=0.95))[-1].arm.label == "temperature 0.8, top-p 0.95"
    assert arms(replace(plain, top_p=0.95, top_k=50, min_p=1e-7))[-1].arm.label == (
        "temperature 0.8, top-p 0.95, top-k 50, min-p 1e-07"
    )
    assert arms(plain)[-1].arm.label == "temperature 0.8"
    assert Arm("m", "d", "temperature", 0.8, {"top_p": "0.9", "top_k": None}).label == "temperature 0.8"


@pytest.mark.parametrize(
    ("own", "cause"),
    [
        ({"top_p": 0.0}, "--top-p must be above 0 and at most 1, not 0"),
        ({"top_p": 1.5}, "--top-p must be above 0 and at most 1, not 1.5"),
        ({"top_p": float("nan")}, "--top-p must be"),
        ({"min_p": -0.1}, "--min-p must be from 0 to 1, not -0.1"),
        ({"min_p": 1.1}, "--min-p must be from 0 to 1, not 1.1"),
        ({"min_p": float("nan")}, "--min-p must be"),
        ({"top_k": -1}, "--top-k must be at least 1, or 0 to exclude no token, not -1"),
    ],
)
def test_truncations_that_there_are_not_are_refused(own: dict[str, Any], cause: str) -> None:
    with pytest.raises(UserError, match=cause):
        Sweep("temperature", **own)


def test_perturbed_models_take_no_truncation() -> None:
    given: list[dict[str, Any]] = [{"top_p": 0.9}, {"top_k": 5}, {"min_p": 0.1}]
    for own in given:
        with pytest.raises(UserError, match="for temperature sampling"):
            Sweep("perturbation", **own)


def test_the_greedy_baseline_is_shared_by_methods_and_seeds() -> None:
    sweeps = [Sweep("temperature", (0.5,)), Sweep("perturbation", (0.5,), seed=7, noise="shared-seed")]
    first, second = (arms(s)[0] for s in sweeps)
    assert first.arm.digest == second.arm.digest
    assert first.draws == 1
    assert [a.arm.method for a in arms(replace(sweeps[0], greedy=False))] == ["temperature"]


def test_perturbation_seeds_are_the_same_for_every_sigma() -> None:
    first, second = arms(Sweep("perturbation", (0.5, 0.6), draws=9))[1:]
    seeds = [[arm.perturbation(draw).seed for draw in range(9)] for arm in (first, second)]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 9
    assert (first.perturbation(0).sigma, second.perturbation(0).sigma) == (0.5, 0.6)
    assert arms(Sweep("temperature"))[-1].perturbation(0) is None


def test_streams_of_rollouts_differ_by_arm_draw_and_problem() -> None:
    arm = Arm("m", "abc", "temperature", 0.5)
    keys = {a.rollout_key(d, p) for a in (arm, replace(arm, value=0.6)) for d in range(20) for p in ("x", "y")}
    assert len(keys) == 80
    assert arm.rollout_key(3, "x") == Arm("another", "abc", "temperature", 0.5).rollout_key(3, "x")


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("temperature", 0.0),
        ("temperature", -0.0),
        ("temperature", -1.0),
        ("temperature", 1e-39),  # the logits divided by it are beyond float32
        ("temperature", 9e-7),
        ("perturbation", 0.0),
        ("perturbation", -0.0),
        ("perturbation", -0.1),
    ],
)
def test_values_that_cannot_be_are_refused(method: str, value: float) -> None:
    with pytest.raises(UserError):
        Sweep(method, (value,))
    with pytest.raises(UserError):
        Sweep(method, (float("nan"),))


def test_debug_is_a_small_version_of_the_same() -> None:
    small = Sweep("temperature", (0.3, 0.4), draws=100).debug()
    assert (small.limit, small.values, small.draws) == (32, (0.3,), 32)


def test_sigmas_that_make_the_same_noise_are_refused() -> None:
    assert Sweep("perturbation", (0.01, 0.02, 0.01)).values == (0.01, 0.02)
    with pytest.raises(UserError, match="same perturbed models"):
        Sweep("perturbation", (0.01, 0.02, 0.010000000001))


def test_a_plan_of_a_million_draws_takes_no_memory_and_no_time_before_its_first_unit() -> None:
    planned = arms(Sweep("perturbation", (0.01,), draws=10**12))[-1]
    cut = units(planned, 10**6, 128)
    tracemalloc.start()
    first = [next(cut) for _ in range(3)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [unit.problems.start for unit in first] == [0, 128, 256]
    assert planned.perturbation(10**11) is not None
    assert peak < 100_000


def mixed(draws: int = 64, sigmas: tuple[float, ...] = (0.02, 0.005, 0.01), **more: object) -> PlannedArm:
    return arms(Sweep("perturbation", sigmas, draws=draws, mixed=True, **more))[-1]  # type: ignore[arg-type]


def test_a_mixed_population_is_one_arm_whose_models_have_a_sigma_of_the_list_by_seed_and_draw() -> None:
    planned = mixed(3000)
    assert len(arms(Sweep("perturbation", (0.02, 0.005), mixed=True))) == 2  # greedy and one more
    assert (planned.arm.value, planned.arm.settings["sigmas"]) == (None, [0.005, 0.01, 0.02])
    assert planned.arm.label == "perturbation 0.005–0.02 mixed"
    sigmas = [planned.perturbation(draw).sigma for draw in range(3000)]
    assert all(900 < sigmas.count(sigma) < 1100 for sigma in (0.005, 0.01, 0.02))
    assert [mixed(7).perturbation(draw).sigma for draw in range(7)] == sigmas[:7]
    assert [mixed(99, seed=43).perturbation(draw).sigma for draw in range(99)] != sigmas[:99]
    plain = arms(Sweep("perturbation", (0.01,)))[-1]
    assert [plain.perturbation(draw).seed for draw in range(9)] == [planned.perturbation(draw).seed for draw in range(9)]
    assert planned.perturbation(planned.measured).sigma == 0.005


def test_a_mixed_population_is_identified_by_its_list_in_any_order() -> None:
    digest = mixed().arm.digest
    assert mixed(sigmas=(0.005, 0.01, 0.02, 0.01)).arm.digest == digest
    others = [mixed(sigmas=(0.005, 0.02)), mixed(seed=43), arms(Sweep("perturbation", (0.01,)))[-1]]
    assert len({digest, *(other.arm.digest for other in others)}) == 4
    with pytest.raises(UserError, match="at least two"):
        mixed(sigmas=(0.01,))
    assert Sweep("perturbation", (0.01, 0.02), mixed=True).debug().values == (0.01, 0.02)


def test_samples_of_one_model_are_consecutive_draws_of_one_seed() -> None:
    first, second = arms(Sweep("perturbation", (0.01,), draws=5, samples=4, temperatures=(0.6, 1.0)))[1:]
    assert (first.draws, first.arm.temperature, second.arm.temperature) == (20, 0.6, 1.0)
    assert first.arm.label == "perturbation 0.01 × 4 at T 0.6"
    seeds = [first.perturbation(draw).seed for draw in range(20)]
    assert seeds == [perturbation_seed("iid", 42, model) for model in range(5) for _ in range(4)]
    greedy = arms(Sweep("perturbation", (0.01,)))[-1]
    three = arms(Sweep("perturbation", (0.01,), draws=5, samples=3, temperatures=(0.6,)))[-1]
    assert len({arm.arm.digest for arm in (first, second, greedy, three)}) == 4
    assert len({first.arm.rollout_key(draw, "x") for draw in range(20)}) == 20
    mix = mixed(5, samples=4, temperatures=(0.6,))
    sigmas = [mix.perturbation(draw).sigma for draw in range(20)]
    assert all(len(set(sigmas[model : model + 4])) == 1 for model in range(0, 20, 4))


@given(st.integers(1, 9), st.integers(1, 9), problems, batches)
def test_no_unit_spans_two_models_and_every_sample_is_in_one(models: int, samples: int, p: int, size: int) -> None:
    planned = arms(Sweep("perturbation", (0.5,), draws=models, samples=samples, temperatures=(0.6,)))[-1]
    cut = list(units(planned, p, size))
    cells = [cell for unit in cut for cell in unit.cells()]
    assert sorted(cells) == [(draw, i) for draw in range(models * samples) for i in range(p)]
    assert all(len({draw // samples for draw in unit.draws}) == 1 and len(unit.cells()) <= max(size, 1) for unit in cut)


def test_samples_need_a_temperature() -> None:
    with pytest.raises(UserError, match="same answer every time"):
        Sweep("perturbation", (0.01,), samples=2)
    with pytest.raises(UserError, match="above 0"):
        Sweep("perturbation", (0.01,), samples=2, temperatures=(0.0,))
    with pytest.raises(UserError, match="more than 1,000,000 draws"):
        Sweep("perturbation", (0.01,), draws=10**6, samples=2, temperatures=(0.5,))
