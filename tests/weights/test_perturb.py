"""The noise is Philox, is normal, is independent, and is the same whatever the chunking."""

from math import sqrt
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from esprobe.arms import NoiseScheme, Perturbation, Update, perturbation_seed
from esprobe.weights import kept, perturb, philox
from esprobe.weights.update import add

MASK = 0xFFFFFFFF


def philox_reference(key: tuple[int, int], counter: int) -> list[int]:
    """Philox4x32-10 in plain integers, written from the paper."""
    c, k = [counter & MASK, counter >> 32, 0, 0], list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & MASK, (p0 >> 32) ^ c[3] ^ k[1], p0 & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def words(key: tuple[int, int], counter: int) -> list[int]:
    return [int(w) for w in philox.philox(key, torch.tensor([counter]))]


def test_philox_gives_the_published_vector() -> None:
    assert words((0, 0), 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


@given(st.integers(0, MASK), st.integers(0, MASK), st.integers(0, 2**62))
def test_philox_agrees_with_plain_integers(k0: int, k1: int, counter: int) -> None:
    assert words((k0, k1), counter) == philox_reference((k0, k1), counter)


@pytest.mark.parametrize("shape", [(1,), (20_000,), (3, 5000)])
def test_philox_is_the_same_on_a_cpu_and_elsewhere(shape: tuple[int, ...]) -> None:
    counter = torch.arange(2**32 - 500, 2**32 - 500 + torch.Size(shape).numel()).view(shape)
    generator = torch.Generator().manual_seed(1)
    each = tuple(torch.randint(0, 2**32, shape, generator=generator) for _ in range(2))
    rows = tuple(torch.randint(0, 2**32, (shape[0], *(1 for _ in shape[1:])), generator=generator) for _ in range(2))
    for key in ((5, 2**32 - 1), each, rows):
        here, elsewhere = philox.philox(key, counter), philox._at_once(key, counter)
        assert all(torch.equal(a, b) for a, b in zip(here, elsewhere, strict=True))


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([0, 2**20, 2**34]))
def test_any_chunk_holds_the_same_numbers(start: int, count: int, far: int) -> None:
    whole = perturb.normals(7, "layer.weight", far, 80)
    assert torch.equal(perturb.normals(7, "layer.weight", far + start, count), whole[start : start + count])


def test_the_inner_chunk_size_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = perturb.normals(7, "layer.weight", 3, 5000)
    monkeypatch.setattr(perturb, "CHUNK", 64)
    assert torch.equal(perturb.normals(7, "layer.weight", 3, 5000), whole)


def test_the_noise_is_standard_normal() -> None:
    z = perturb.normals(1, "w", 0, 1_000_000).double()
    n = len(z)
    moments = [z.mean(), (z**2).mean() - 1, (z**3).mean(), (z**4).mean() - 3]
    for moment, variance in zip(moments, [1, 2, 15, 96], strict=True):
        assert abs(moment) < 4 * sqrt(variance / n)
    empirical = torch.arange(1, n + 1).double() / n
    kolmogorov = (torch.special.ndtr(z.sort().values) - empirical).abs().max()
    assert kolmogorov < 1.95 / sqrt(n)  # the 0.1% point
    assert 4.5 < z.max() < 6.7


def test_parameters_seeds_and_neighbours_are_independent() -> None:
    n = 200_000
    names = [
        perturb.normals(1, name, 0, n) for name in ("model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.gate_proj.weight")
    ]
    seeds = [perturb.normals(seed, "w", 0, n) for seed in (0, 1, 2**40)]
    shifted = [seeds[0][lag:-4] for lag in (0, 1, 2, 3)]
    for group in (names, seeds, [s[: n - 8] for s in shifted]):
        together = torch.corrcoef(torch.stack(group))
        off = together - torch.eye(len(group))
        assert off.abs().max() < 4.5 / sqrt(n)
        squares = torch.corrcoef(torch.stack([g**2 for g in group])) - torch.eye(len(group))
        assert squares.abs().max() < 4.5 / sqrt(n)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_perturb_writes_base_plus_sigma_noise_and_leaves_the_base_alone(dtype: torch.dtype) -> None:
    base = torch.randn(33, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    kept, out = base.clone(), torch.empty_like(base)
    perturb.perturb(out, base, "w", Perturbation("iid", 5, 0.01))
    expected = (base.float() + 0.01 * perturb.normals(5, "w", 0, base.numel()).view(33, 7)).to(dtype)
    torch.testing.assert_close(out, expected, rtol=0, atol=0 if dtype != torch.float32 else 1e-7)
    assert torch.equal(base, kept)
    perturb.perturb(out, base, "w", Perturbation("iid", 5, 0.0))
    assert torch.equal(out, base)


def test_the_shared_seed_scheme_is_the_published_one_and_is_correlated() -> None:
    base = torch.zeros(4, 5)
    first, second = torch.empty_like(base), torch.empty_like(base)
    perturb.perturb(first, base, "a", Perturbation("shared-seed", 9, 0.5))
    perturb.perturb(second, base, "b", Perturbation("shared-seed", 9, 0.5))
    assert torch.equal(first, second)
    assert torch.equal(first, 0.5 * torch.randn(4, 5, generator=torch.Generator().manual_seed(9)))


def test_uniforms_belong_to_their_key_and_are_uniform() -> None:
    keys = [1, 2**63 + 5, 77]
    u = philox.uniforms(keys, 50_000)
    assert torch.equal(philox.uniforms([77], 20)[0], u[2, :20])
    assert ((u >= 0) & (u < 1)).all()
    assert (u.mean(1) - 0.5).abs().max() < 4 / sqrt(12 * 50_000)
    assert (torch.corrcoef(u) - torch.eye(3)).abs().max() < 4.5 / sqrt(50_000)


def seeds(scheme: NoiseScheme, base_seed: int, count: int) -> list[int]:
    return [perturbation_seed(scheme, base_seed, draw) for draw in range(count)]


def test_the_draws_of_an_arm_have_seeds_of_their_own() -> None:
    for scheme in get_args(NoiseScheme):
        assert len(set(seeds(scheme, 42, 5000))) == 5000
    assert set(seeds("iid", 42, 100)).isdisjoint(seeds("iid", 43, 100))
    # the published study's own first seeds: numpy's default_rng(42).integers(0, 2**30)
    assert seeds("shared-seed", 42, 3) == [95832482, 831028979, 702840816]


def test_noise_that_is_kept_is_bounded_and_never_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = kept.Kept()
    monkeypatch.setattr(perturb, "KEPT", noise)
    monkeypatch.setattr(kept, "KEPT_BYTES", 3 * 4 * 150)  # of three models
    base = {"a": torch.zeros(100), "b": torch.zeros(50)}
    for seed in range(5):
        perturb.perturb_all({n: torch.empty_like(w) for n, w in base.items()}, base, Perturbation("iid", seed, 0.5))
    assert list(noise.noise) == [2, 3, 4]
    for seed in (0, 4, 4):  # made again, and kept
        master = {name: weight.clone() for name, weight in base.items()}
        add(master, Update((seed,), (0.25,)))
        assert all(torch.equal(w, 0.25 * perturb.normals(seed, name, 0, len(w))) for name, w in master.items())
    assert list(noise.noise) == [2, 3, 4]


def test_noise_that_is_passed_on_once_saves_making_it_and_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = kept.Kept(), kept.Kept()
    base = {"a": torch.zeros(102), "b": torch.zeros(7), "c": torch.zeros(64)}
    monkeypatch.setattr(perturb, "KEPT", here)
    for seed in (1, 2):
        perturb.perturb_all({n: torch.empty_like(w) for n, w in base.items()}, base, Perturbation("iid", seed, 0.5))
    passed = here.pass_on()
    assert ([seed for seed, _, _ in passed], here.pass_on()) == ([1, 2], [])
    for _, _, array in passed:
        array.flags.writeable = False  # as of memory that processes share
    there.take(passed)
    assert (there.bytes, there.pass_on()) == (2 * 4 * 173, [])
    monkeypatch.setattr(perturb, "KEPT", there)
    monkeypatch.setattr(perturb, "_made_together", None)
    master = {name: weight.clone() for name, weight in base.items()}
    add(master, Update((1, 2), (0.25, -0.5)))
    normals = {name: [perturb.normals(seed, name, 0, len(w)) for seed in (1, 2)] for name, w in base.items()}
    assert all(torch.equal(master[name], 0.25 * first - 0.5 * second) for name, (first, second) in normals.items())
    monkeypatch.setattr(kept, "PASSED_BYTES", 4 * 172)
    there.add(3, {"a": torch.zeros(173)})
    assert there.pass_on() == []
