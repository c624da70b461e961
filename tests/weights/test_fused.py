"""What Numba compiles makes the normals of `perturb.py`'s passes, word for word and almost always bit for bit."""

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import product
from math import tau
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from esprobe.arms import Perturbation
from esprobe.weights import perturb
from esprobe.weights.philox import parameter_key, philox

if not find_spec("numba") and os.environ.get("CI") != "true":
    pytest.skip("Numba is not installed (pip install numba)", allow_module_level=True)

import numba

from esprobe.weights import fused

LAST_BIT = 2.0**-21  # of a normal, which is below 8
# Words where a logarithm or an angle is hard: both ends, quarter and eighth turns, powers of two times √2, and what is near them
CORNERS = sorted(
    {
        (corner + step) % 2**32
        for corner in (0, 2**8, 2**23, 2**24, *(k * 2**29 for k in range(8)), 3037000500, 1518500250)
        for step in range(-65, 66)
    }
)


@numba.njit
def pairs_of(radius_words: NDArray[np.uint32], turn_words: NDArray[np.uint32], out: NDArray[np.float64]) -> None:
    for i in range(len(out)):
        radius, (cosine, sine) = fused.radius(radius_words[i]), fused.turn(turn_words[i])
        out[i, 0], out[i, 1] = radius * cosine, radius * sine


def passes(seed: int, name: str, first: int, blocks: int) -> torch.Tensor:
    """The numbers without Numba."""
    return perturb._box_muller(philox(parameter_key(seed, name), torch.arange(first, first + blocks)))


def filled(seed: int, name: str, first: int, blocks: int) -> torch.Tensor:
    out = torch.empty(4 * blocks)
    fused.fill(out.numpy(), *parameter_key(seed, name), first)
    return out


def test_normals_of_hard_words_are_exact_to_float64() -> None:
    u, v = np.array(list(product(CORNERS, CORNERS)), np.uint32).T
    out = np.empty((len(u), 2))
    pairs_of(np.ascontiguousarray(u), np.ascontiguousarray(v), out)
    radius = np.sqrt(-2 * np.log((u.astype(np.float64) + 1) / 2**32))
    angle = v.astype(np.float64) * (tau / 2**32)
    assert np.abs(out - np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)).max() < 1e-13


@pytest.mark.parametrize("first", [0, 2**29 - 8, 2**30 - 8, 2**31 - 8, 2**32 - 8, 2**40 + 3])
@pytest.mark.parametrize("seed", [0, 42, 2**52 + 7])
def test_the_numbers_are_those_of_the_passes(seed: int, first: int) -> None:
    ours, theirs = filled(seed, "w", first, 1 << 17), passes(seed, "w", first, 1 << 17)
    assert (ours - theirs).abs().max() <= LAST_BIT
    assert (ours != theirs).double().mean() < 1e-5


def test_long_pieces_are_made_in_one_pass_wherever_they_begin() -> None:
    whole = filled(9, "model.embed_tokens.weight", 0, perturb.CHUNK)
    for start, count in ((0, 4 * perturb.CHUNK), (1, perturb.CHUNK), (4 * 1000 + 3, perturb.CHUNK + 5)):
        made = perturb.normals(9, "model.embed_tokens.weight", start, count)
        assert torch.equal(made, whole[start : start + count])


def test_what_is_imported_can_be_asked_for_what_it_has() -> None:
    """vLLM does so when an engine starts; llvmlite's library used to answer with a function."""
    found = {f"{module.__name__}.{name}": value for module in modules() for name, value in list(vars(module).items())}
    assert [name for name, value in found.items() if hasattr(value, "__dict__") and not isinstance(vars(value), Mapping)] == []


def modules() -> list[ModuleType]:
    return [module for name, module in sorted(sys.modules.items()) if name.startswith(("llvmlite", "numba"))]


def test_a_perturbation_is_the_same_to_a_millionth_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    base = torch.randn(5 * perturb.CHUNK + 3, generator=torch.Generator().manual_seed(0))
    out, without = torch.empty_like(base), torch.empty_like(base)
    perturb.perturb(out, base, "w", Perturbation("iid", 3, 0.01))
    monkeypatch.setattr(perturb, "_fused", lambda: None)
    perturb.perturb(without, base, "w", Perturbation("iid", 3, 0.01))
    assert (out - without).abs().max() <= 1e-6
    assert (out != without).double().mean() < 1e-5
