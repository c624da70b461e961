"""The Triton kernel makes `perturb.py`'s numbers: in Triton's interpreter on a CPU, and on a GPU where there is one.

Triton decides once per process, when its functions are first imported, whether it interprets or compiles. The interpreter
therefore gets a separate process, and this one stays as the other tests need it.
"""

import os
import re
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from itertools import product
from math import tau
from multiprocessing import get_context

import pytest
import torch

from esprobe.arms import Perturbation
from esprobe.weights import perturb, philox

if not find_spec("triton") and os.environ.get("CI") != "true":
    pytest.skip("Triton is not installed (pip install triton, on Linux)", allow_module_level=True)

import triton
import triton.language as tl

from esprobe.weights import kernel

TOLERANCE = 1e-6
KEYS = (0, 1, 2**31, 0xBB67AE859E3779B9, 2**64 - 1)
# Philox blocks on both sides of where a 32-bit element, byte, block or signed counter would wrap
FIRST_BLOCKS = (0, 2**29 - 8, 2**30 - 8, 2**31 - 8, 2**32 - 8, 2**40 + 3)
# Words where a logarithm or an angle is hard: both ends, quarter and eighth turns, powers of two times √½, and what is near them
CORNERS = sorted(
    {
        (corner + step) % 2**32
        for corner in (0, 2**8, 2**23, 2**24, 2**25, *(k * 2**29 for k in range(8)), 2**32 - 2**8, 3037000500, 1518500250)
        for step in (-129, -128, -65, -64, -3, -2, -1, 0, 1, 2, 3, 64, 65, 128, 129)
    }
)


@triton.jit(do_not_specialize=["key", "first"])
def store_words(out, key: tl.uint64, first: tl.int64, blocks: tl.constexpr):
    index = tl.arange(0, blocks)
    w0, w1, w2, w3 = kernel.words(key, index.to(tl.int64) + first)
    tl.store(out + 4 * index, w0.to(tl.int64))
    tl.store(out + 4 * index + 1, w1.to(tl.int64))
    tl.store(out + 4 * index + 2, w2.to(tl.int64))
    tl.store(out + 4 * index + 3, w3.to(tl.int64))


@triton.jit
def store_pairs(out, first_words, second_words, pairs: tl.constexpr):
    index = tl.program_id(0) * pairs + tl.arange(0, pairs)
    r = kernel.radius(tl.load(first_words + index).to(tl.uint32))
    x, y = kernel.turn(tl.load(second_words + index).to(tl.uint32))
    tl.store(out + 2 * index, r * x)
    tl.store(out + 2 * index + 1, r * y)


def words(device, key, first, blocks):
    """Words (blocks, 4) as int64."""
    out = torch.empty((blocks, 4), dtype=torch.int64, device=device)
    store_words[(1,)](out, key, first, blocks=blocks)
    return out.tolist()


def box_muller_error(device, first, second):
    """The largest difference from the normals of `perturb.py`'s formula, float64 rounded once, over pairs of words."""
    padding = [0] * (triton.next_power_of_2(max(len(first), 1024)) - len(first))
    u, v = (torch.tensor(words + padding, device=device) for words in (first, second))
    out = torch.empty((len(u), 2), device=device)
    pairs = len(u) if device == "cpu" else 1024  # numpy likes one large program, a GPU many small ones
    store_pairs[(triton.cdiv(len(u), pairs),)](out, u, v, pairs=pairs, enable_fp_fusion=False)
    u, v = u.cpu().double(), v.cpu().double()
    radius, angle = torch.sqrt(-2 * torch.log((u + 1) / 2**32)), v * (tau / 2**32)
    expected = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1).float()
    return (out.cpu().double() - expected.double()).abs().max().item()


def noise_error(device, seed, start, count):
    """The largest difference from `perturb.normals`, and whether anything except the `count` elements was written."""
    buffer = torch.full((count + 64,), torch.nan, device=device)
    out = buffer[:count].zero_()
    kernel.perturb_iid(out, out, "model.norm.weight", Perturbation("iid", seed, 1.0), start)
    difference = out.cpu().double() - perturb.normals(seed, "model.norm.weight", start, count).double()
    return difference.abs().max().item() if count else 0.0, not buffer[count:].isnan().all().item()


def perturbed(device, base, perturbation):
    """The perturbed parameter and what the kernel made of the base, which it must leave alone."""
    base = base.to(device)
    out = torch.empty_like(base)
    kernel.perturb_iid(out, base, "lm_head.weight", perturbation)
    return out.cpu(), base.cpu()


def all_at_once(device, base, perturbation):
    """Whether one launch writes what a launch per parameter writes, by name, and leaves the bases alone."""
    given = {name: weight.to(device) for name, weight in base.items()}
    together = {name: torch.full_like(weight, torch.nan) for name, weight in given.items()}
    kernel.perturb_iid_all(together, given, perturbation)
    singly = {name: torch.full_like(weight, torch.nan) for name, weight in given.items()}
    for name, weight in given.items():
        kernel.perturb_iid(singly[name], weight, name, perturbation)
    return {n: torch.equal(together[n], singly[n]) and torch.equal(given[n].cpu(), base[n]) for n in base}


@pytest.fixture(scope="session")
def interpreter():
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRITON_INTERPRET", "1")
        pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        pool.submit(os.getpid).result()  # started, with the variable set
    with pool:
        yield lambda function, *arguments: pool.submit(function, "cpu", *arguments).result()


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that CUDA knows")


@pytest.fixture(params=["interpreter", pytest.param("cuda", marks=needs_gpu)])
def run(request):
    """Calls a function of (device, …) where the kernel runs."""
    if request.param == "interpreter":
        return request.getfixturevalue("interpreter")
    return lambda function, *arguments: function("cuda", *arguments)


def test_the_words_of_key_zero_are_the_published_ones(run):
    assert run(words, 0, 0, 1) == [[0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]]


@pytest.mark.parametrize("first", FIRST_BLOCKS)
def test_words_are_the_cpus(run, first):
    for key in KEYS:
        expected = torch.stack(philox.philox((key & 0xFFFFFFFF, key >> 32), torch.arange(first, first + 16)), dim=1)
        assert run(words, key, first, 16) == expected.tolist()


def test_normals_of_hard_words_are_within_tolerance(run):
    pairs = list(product(CORNERS, CORNERS))
    assert run(box_muller_error, [u for u, _ in pairs], [v for _, v in pairs]) <= TOLERANCE


def test_normals_of_the_smallest_words_are_within_tolerance(run):
    """The far tail, where a normal is largest and so is its rounding: every radius above 5.3, each at 256 angles."""
    angles = torch.randint(2**32, (2**20,), generator=torch.Generator().manual_seed(0)).tolist()
    assert run(box_muller_error, [i // 256 for i in range(2**20)], angles) <= TOLERANCE


def test_normals_of_a_million_random_words_are_within_tolerance(run):
    u, v, shift = torch.randint(2**32, (3, 2**20), generator=torch.Generator().manual_seed(1))
    u[::2] >>= shift[::2] % 32  # every magnitude equally often; the other half as they come
    assert run(box_muller_error, u.tolist(), v.tolist()) <= TOLERANCE


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 1023, 1024, 1025, 4099])
def test_a_parameter_of_any_length_gets_its_noise_and_nothing_beside_it_changes(run, count):
    error, spilled = run(noise_error, 7, 0, count)
    assert error <= TOLERANCE
    assert not spilled


@pytest.mark.parametrize("first", FIRST_BLOCKS)
def test_a_chunk_far_into_a_parameter_gets_that_chunks_noise(run, first):
    error, _ = run(noise_error, 2**62 + 1, 4 * first, 1500)
    assert error <= TOLERANCE


@needs_gpu
def test_a_parameter_of_more_than_two_to_the_31_elements_is_right_to_its_end():
    weight = torch.zeros(2**31 + 1500, dtype=torch.float16, device="cuda")
    kernel.perturb_iid(weight, weight, "model.embed_tokens.weight", Perturbation("iid", 3, 1.0))
    expected = perturb.normals(3, "model.embed_tokens.weight", 2**31 - 1500, 3000)
    torch.testing.assert_close(weight[-3000:].cpu(), expected.half(), atol=1e-5, rtol=2**-10)


@pytest.mark.parametrize("sigma", [0.0, 0.001, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_sum_is_noise_perturbs_rounded_once(run, request, dtype, sigma):
    perturbation = Perturbation("iid", 42, sigma)
    base = (torch.randn((37, 55), generator=torch.Generator().manual_seed(2)) * 0.05).to(dtype)
    out, base_after = run(perturbed, base, perturbation)
    assert torch.equal(base_after, base)
    assert out.dtype == dtype

    reference = torch.empty_like(base)
    perturb.perturb(reference, base, "lm_head.weight", perturbation)
    added = sigma * perturb.normals(42, "lm_head.weight", 0, base.numel()).view(base.shape).double()
    exact = base.double() + added
    # What the normal may differ by; then the float32 rounding of σ, of the product and of the sum.
    slack = sigma * TOLERANCE + (2 * added.abs() + exact.abs()) * 2**-24
    interpreted = "interpreter" in request.node.name
    if interpreted and dtype == torch.bfloat16:
        # Triton's interpreter cuts float32 off to bfloat16, where a GPU rounds: the instruction is looked for below, in its code.
        def rounded(value):
            return (value.float().view(torch.int32) & -0x10000).view(torch.float32)
    else:
        assert dtype == torch.float32 or (out == reference).double().mean() > 0.99

        def rounded(value):
            return value.to(dtype).float()

    assert (rounded(exact - slack) <= out.float()).all()
    assert (out.float() <= rounded(exact + slack)).all()


@pytest.mark.parametrize("seed", [0, 42, 2**52 + 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_all_parameters_in_one_launch_get_what_each_gets_by_itself(run, dtype, seed):
    generator = torch.Generator().manual_seed(3)
    sizes = (4, 1024, 1028, 3, 4099, 0, 3 * 4096, 2052)  # whole programs, parts of them, and what is no whole block
    base = {f"layers.{i}": (torch.randn(size, generator=generator) * 0.05).to(dtype) for i, size in enumerate(sizes)}
    base["of another dtype"] = torch.randn(5000, generator=generator)
    base["shifted"] = torch.randn(4097, generator=generator).to(dtype)[1:]  # where no 16 bytes begin
    assert run(all_at_once, base, Perturbation("iid", seed, 0.01)) == dict.fromkeys(base, True)


def test_what_the_kernel_cannot_do_is_refused():
    base = torch.zeros(8, 8)
    with pytest.raises(ValueError, match="iid noise only"):
        kernel.perturb_iid(base, base, "w", Perturbation("shared-seed", 0, 0.1))
    with pytest.raises(ValueError, match="contiguous"):
        kernel.perturb_iid(base.T[:4], base.T[:4], "w", Perturbation("iid", 0, 0.1))
    with pytest.raises(ValueError, match="contiguous"):
        kernel.perturb_iid_all({"w": base.T}, {"w": base}, Perturbation("iid", 0, 0.1))
    with pytest.raises(ValueError, match="multiple of 4"):
        kernel.perturb_iid(base, base, "w", Perturbation("iid", 0, 0.1), start=2)


@pytest.mark.parametrize(
    ("dtype", "access", "conversion"),
    [("fp32", "v4.b32", ""), ("bf16", "v2.b32", "cvt.rn.bf16"), ("fp16", "v2.b32", "cvt.rn.f16")],
)
def test_the_code_for_a_gpu_rounds_as_the_interpreter_does(dtype, access, conversion):
    """Compiled for compute capability 9.0, which needs no GPU: what makes the interpreter's results the GPU's."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types = {"out": f"*{dtype}", "base": f"*{dtype}", "count": "i64", "key": "u64", "first": "i64", "sigma": "fp32"}
    aligned = {(argument,): [["tt.divisibility", 16]] for argument in (0, 1, 2)}
    source = ASTSource(kernel._perturb, types | {"blocks": "constexpr"}, {"blocks": kernel.BLOCK}, aligned)
    options = {"num_warps": kernel.WARPS, "enable_fp_fusion": False}
    code = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm
    assert "xi64>" in code["ttir"].split("tt.addptr", 1)[1].split("loc", 1)[0]  # 64-bit offsets into the parameter
    ptx = code["ptx"]
    assert "fma." not in ptx
    assert ".approx" not in ptx
    assert not re.search(r"(add|sub|mul|cvt)\S*\.ftz", ptx)  # subnormals stay; no square root here is of one
    assert re.search(r"sqrt\.rn\S*\.f32", ptx)
    assert conversion in ptx
    assert f"ld.global.{access}" in ptx  # four neighbours at once
    assert "shared" not in ptx.split("{", 1)[1]  # and no exchange between threads
