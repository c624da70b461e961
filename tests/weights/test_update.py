"""A trained model is its root and its updates, whichever way they come: by hand, step by step, all at once, on any cut."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from esprobe.arms import BASE, Perturbation, Update, Weights, trained_digest
from esprobe.errors import UserError
from esprobe.weights import perturb, update
from esprobe.weights.update import Base
from tests.conftest import HANGS_S

UPDATES = (
    Update((11, 12, 13), (1e-3, -2.5e-4, 7e-4)),
    Update((2**53 - 1, 12), (3e-3, 1e-5)),
    Update((5, 6, 7, 8), (0.02, 0.0, -0.01, 1e-9)),
)


def root() -> dict[str, Tensor]:
    """Small parameters, one larger than a block of noise, and one whose length is no multiple of four."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"norm.weight": (7,), "q.weight": (33, 5), "embed.weight": (300, 1000), "bias": (64,)}
    return {name: 0.02 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def philox_normals(seed: int, name: str, count: int) -> np.ndarray:
    """`iid` noise (count,), float32, written from its definition in numpy alone."""
    digest = sha256(f"{seed}:{name}".encode()).digest()
    key = np.frombuffer(digest[:8], "<u4").astype(np.uint64)
    c = np.zeros((-(-count // 4), 4), np.uint64)
    c[:, 0] = np.arange(len(c))
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = c[:, 0] * np.uint64(0xD2511F53), c[:, 2] * np.uint64(0xCD9E8D57)
        c = np.stack([(p1 >> 32) ^ c[:, 1] ^ key[0], p1 & low, (p0 >> 32) ^ c[:, 3] ^ key[1], p0 & low], 1)
        key = (key + np.array([0x9E3779B9, 0xBB67AE85], np.uint64)) & low
    u, v = (c[:, ::2] + np.uint64(1)) / 2**32, c[:, 1::2] / 2**32  # (blocks, 2)
    radius = np.sqrt(-2 * np.log(u))
    pairs = np.stack([radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v)], 2)  # (blocks, pair, cosine or sine)
    return pairs.reshape(-1)[:count].astype(np.float32)


def by_hand(weights: dict[str, Tensor], updates: tuple[Update, ...]) -> dict[str, np.ndarray]:
    """The updates in numpy, one float32 operation after the other."""
    found = {name: weight.float().numpy().copy() for name, weight in weights.items()}
    for one in updates:
        for name, weight in found.items():
            total = np.zeros(weight.size, np.float32)
            for seed, coefficient in zip(one.seeds, one.coefficients, strict=True):
                total += np.float32(coefficient) * philox_normals(seed, name, weight.size)
            weight += total.reshape(weight.shape)
    return found


def made(*steps: tuple[Update, ...], dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The weights after the last of the steps, each a list of updates that begins with the one before."""
    base = Base(lambda precise: {n: w.to(torch.float32 if precise else dtype) for n, w in root().items()})
    for updates in steps:
        base.reach(updates)
    return base.weights


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_updates_are_what_independent_code_makes_of_them() -> None:
    expected = by_hand(root(), UPDATES)
    for name, weight in made(UPDATES).items():
        # numpy's and torch's logarithms may differ in the last of float64's bits, which few of the normals show
        np.testing.assert_allclose(weight.numpy(), expected[name], rtol=0, atol=2e-8)
        assert np.mean(weight.numpy() == expected[name]) > 0.99, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_step_by_step_and_all_at_once_are_one_model_and_the_master_is_float32(dtype: torch.dtype) -> None:
    whole = made(UPDATES, dtype=dtype)
    assert {weight.dtype for weight in whole.values()} == {torch.float32}
    assert same(made((), UPDATES[:1], UPDATES[:2], UPDATES, dtype=dtype), whole)
    assert same(made(UPDATES[:2], UPDATES, dtype=dtype), whole)
    assert same(made(UPDATES[1:], UPDATES[:1], UPDATES, dtype=dtype), whole)  # another training's in between
    assert same(made(UPDATES), whole)  # whatever the model's dtype


def test_updates_below_half_a_step_of_sixteen_bits_add_up() -> None:
    tiny = Update((3,), (1e-5,))
    master = made((tiny,) * 100, dtype=torch.bfloat16)["norm.weight"]
    moved = master - root()["norm.weight"]
    expected = 100 * 1e-5 * perturb.normals(3, "norm.weight", 0, 7)
    torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-7)


def test_no_update_zeros_and_the_way_back_leave_the_root_untouched() -> None:
    zeros = Update((1, 2, 3), (0.0, -0.0, 0.0))
    for steps in [((),), ((zeros,),), ((Update((), ()),),), (UPDATES, ())]:
        assert same(made(*steps), root()), steps
    minus_zero = {"w": torch.tensor([-0.0])}
    update.add(minus_zero, zeros)
    assert str(minus_zero["w"]) == "tensor([-0.])"


def test_the_cut_into_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made(UPDATES)
    for chunk in (16, 1000):
        monkeypatch.setattr(perturb, "CHUNK", chunk)
        assert same(made(UPDATES), whole)


def test_an_update_that_fails_half_way_leaves_no_half_updated_base(monkeypatch: pytest.MonkeyPatch) -> None:
    base, real, calls = Base(lambda _: root()), perturb.normals_together, []

    def failing(seed: int, sizes: dict[str, int]) -> dict[str, Tensor]:
        calls.append(seed)
        if len(calls) == 4:
            raise MemoryError
        return real(seed, sizes)

    monkeypatch.setattr(perturb, "normals_together", failing)
    with pytest.raises(MemoryError):
        base.reach(UPDATES)
    base.reach(UPDATES)
    assert same(base.weights, made(UPDATES))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [50, 300_000])
def test_a_perturbation_of_a_trained_model_is_rounded_once(dtype: torch.dtype, size: int) -> None:
    master = {"w": 0.02 * torch.randn(size, generator=torch.Generator().manual_seed(0))}
    out = {"w": torch.empty(size, dtype=dtype)}
    perturb.perturb_all(out, master, Perturbation("iid", 5, 0.001))
    exact = master["w"].double() + 0.001 * perturb.normals(5, "w", 0, size).double()
    assert (out["w"] == exact.float().to(dtype)).double().mean() > 0.999
    assert (out["w"] != master["w"].to(dtype)).any()


def test_a_trained_model_is_identified_by_its_root_and_its_updates() -> None:
    whole = trained_digest("root", UPDATES)
    assert trained_digest(trained_digest("root", UPDATES[:1]), UPDATES[1:]) == whole
    assert trained_digest("root", ()) == "root"
    others = [
        trained_digest("another", UPDATES),
        trained_digest("root", UPDATES[::-1]),
        trained_digest("root", UPDATES[:2]),
        trained_digest("root", (*UPDATES, Update((), ()))),
        trained_digest("root", (*UPDATES[:2], Update((5, 6, 7, 8), (0.02, 0.0, -0.01, 1.1e-9)))),
    ]
    assert len({whole, *others}) == 6
    one = json.dumps(["root", {"coefficients": [0.5], "scheme": "iid", "seeds": [3]}], separators=(",", ":"))
    assert trained_digest("root", [Update((3,), (0.5,))]) == sha256(one.encode()).hexdigest()[:32]


def test_an_update_is_its_record_and_hides_no_difference() -> None:
    for one in UPDATES:
        again = Update.of(json.loads(json.dumps(one.record())))
        assert again == one
        assert hash(Weights((again,))) == hash(Weights((one,)))
    assert Update((np.int64(3),), (np.float64(-0.0),)).record() == {"scheme": "iid", "seeds": [3], "coefficients": [0.0]}
    assert Weights(UPDATES[:1]) != Weights(UPDATES[:1], Perturbation("iid", 1, 0.1)) != BASE
    with pytest.raises(UserError, match="makes no update; train with iid"):
        Update((1,), (0.1,), "shared-seed")
    with pytest.raises(ValueError, match="make no update"):
        Update((1,), (float("nan"),))


MEMORY = """
import resource, sys
import torch
from tests.weights.test_update import *
shapes = [(49152, 576), *[(576, 1536), (1536, 576), (576, 1536), (576, 576), (576, 576), (192, 576), (192, 576)] * 30]
base = Base(lambda precise: {f"w{i}": torch.ones(shape) for i, shape in enumerate(shapes)})
base.reach((Update((1,), (0.0,)),))
size = sum(weight.nbytes for weight in base.weights.values())
assert size > 4 * 134_000_000
perturb.normals(0, "w", 0, 1 << 18)  # so that the library that makes noise is loaded
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 2**20, resource.RLIM_INFINITY))
base.reach((Update((1,), (0.0,)), Update((1, 2), (0.5, 0.25))))
print(float(base.weights["w0"].std()))
"""


def test_an_update_of_135_million_parameters_takes_200_megabytes_beside_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANGS_S,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(0.3125**0.5, rel=1e-3)  # (0.5² + 0.25²)½
