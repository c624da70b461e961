"""`iid` noise on a GPU: one Triton kernel that makes the noise and adds it, in a single pass over the weights.

Knows the numbers that `perturb.py` defines (keys, counters, words, normals) and must not define any: the words are the
same, the normals differ by less than 1e-6. Import it only where Triton is installed.
"""

# A kernel's arguments are Triton's own, which has no types for them.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from collections.abc import Mapping, Sequence

import torch
import triton
import triton.language as tl

from esprobe.arms import Perturbation
from esprobe.weights.philox import parameter_key

# Philox blocks (of four elements) per program, two to a thread; of many parameters in one launch, four to a thread.
BLOCK, WARPS = 256, 4
BLOCK_OF_MANY, WARPS_OF_MANY = 1024, 8

_LN2_HIGH = tl.constexpr(0.693359375)  # ln 2 in two parts: ten bits, so that its products with 0 … −32 are exact,
_LN2_LOW = tl.constexpr(-2.12194440e-4)  # and the rest
_SQRT_HALF_BITS = tl.constexpr(0x3F3504F3)  # √½ as float32

# Triton's own logarithm, sine, cosine and square root are the GPU's approximations, and a fused multiply-add rounds once where an
# interpreter may round twice. So everything below is integers and float32 sums, products and square roots, each correctly rounded
# (IEEE 754), and is launched with fusion off: what a test on a CPU computes is, bit for bit, what an NVIDIA GPU computes. float64
# would be simpler, and 64 times as slow on a consumer's GPU.


@triton.jit
def words(key, block):
    """Philox4x32-10 words 0 … 3, uint32, of the blocks (n,), int64, under a 64-bit key whose low word is the first key word."""
    key = key.to(tl.uint64)  # an interpreter takes a small one for 32 bits
    k0, k1 = key.to(tl.uint32), (key >> 32).to(tl.uint32)
    c0, c1 = block.to(tl.uint32), (block >> 32).to(tl.uint32)
    c2, c3 = c0 * 0, c0 * 0
    for _ in tl.static_range(10):
        # one instruction for both halves of a product, where `tl.philox` has one for each
        p0, p1 = c0.to(tl.uint64) * 0xD2511F53, c2.to(tl.uint64) * 0xCD9E8D57
        c0, c1 = (p1 >> 32).to(tl.uint32) ^ c1 ^ k0, p1.to(tl.uint32)
        c2, c3 = (p0 >> 32).to(tl.uint32) ^ c3 ^ k1, p0.to(tl.uint32)
        k0 += 0x9E3779B9
        k1 += 0xBB67AE85
    return c0, c1, c2, c3


@triton.jit
def radius(word):
    """√(−2 ln((word + 1)/2³²)) for uint32 words, float32, within 3.9e-7 absolute."""
    # word + 1 = 2^k·(1 + f) with √½ ≤ 1 + f < √2. The float only chooses k; f comes from an integer difference, exact and
    # wrapping correctly at 2³², so that nothing is lost next to u = 1, where the logarithm is as small as f.
    k = ((word.to(tl.float32) + 1.0).to(tl.int32, bitcast=True) - _SQRT_HALF_BITS) >> 23  # 0 … 32
    power = (k < 32).to(tl.uint32) << (k & 31).to(tl.uint32)  # 2^k modulo 2³²
    f = (word + 1 - power).to(tl.int32, bitcast=True).to(tl.float32) * ((127 - k) << 23).to(tl.float32, bitcast=True)
    # ln(1 + f) = f − f²/2 + f³·p(f), the form of Cephes' logf (Moshier); p by a Remez exchange, within 6e-9 of the logarithm
    p = -0.07635556 * f + 0.12761624
    p = p * f - 0.13159753
    p = p * f + 0.14201716
    p = p * f - 0.16623403
    p = p * f + 0.20001231
    p = p * f - 0.2500082
    p = p * f + 0.3333333
    exponent = (k - 32).to(tl.float32)
    square = f * f
    logarithm = f + (f * square * p + exponent * _LN2_LOW - 0.5 * square) + exponent * _LN2_HIGH
    return tl.sqrt_rn(-2.0 * logarithm)


@triton.jit
def turn(word):
    """The cosine and the sine of 2πv for v = word/2³², uint32 words, float32, within 9.1e-8 absolute."""
    # The nearest quarter turn and what is left of it, −½ … ½ quarter turns as t·π/4: exact, in integers.
    quarter = (word + 0x20000000) >> 30
    t = (word << 2).to(tl.int32, bitcast=True).to(tl.float32) * 4.656612873077393e-10  # 2⁻³¹
    z = t * t
    # sin(πt/4) = t/2 + t·p(t²) and cos(πt/4) = 1 + t²·q(t²): the first terms are exact, so that only small ones are rounded
    # before the last sum. p and q by Remez exchanges, within 3e-9 and 6e-11.
    p = -3.5979316e-05 * z + 0.00249005
    p = p * z - 0.08074546
    p = p * z + 0.28539816
    sine = 0.5 * t + t * p
    q = 3.5313726e-06 * z - 0.0003259421
    q = q * z + 0.015854327
    q = q * z - 0.30842513
    cosine = 1.0 + z * q
    odd = (quarter & 1) != 0
    x = tl.where(odd, sine, cosine)
    y = tl.where(odd, cosine, sine)
    return tl.where(((quarter + 1) & 2) != 0, -x, x), tl.where((quarter & 2) != 0, -y, y)


@triton.jit
def normals(key, block):
    """The normals (n, 4), float32, of the Philox blocks (n,): elements 4·block … 4·block + 3 of a parameter's noise.

    Within 9.6e-7 of `perturb.normals`, two units in the last place where they are largest: the bounds of `radius` and `turn`
    were found by comparing every 32-bit word with float64 (for `turn`, an eighth: the others are its exact mirror images).
    """
    w0, w1, w2, w3 = words(key, block)
    r0, r2 = radius(w0), radius(w2)
    x0, y0 = turn(w1)
    x2, y2 = turn(w3)
    pairs = tl.join(tl.join(r0 * x0, r2 * x2), tl.join(r0 * y0, r2 * y2))  # (n, 2, 2): [block, pair, cosine or sine]
    return tl.reshape(pairs, (block.shape[0], 4))


@triton.jit(do_not_specialize=["key", "first"])
def _perturb(out, base, count, key: tl.uint64, first: tl.int64, sigma, blocks: tl.constexpr):
    """Writes base + σ·noise for `blocks` Philox blocks; block 0 of the tensors (count,) is block `first` of the noise."""
    block = tl.program_id(0).to(tl.int64) * blocks + tl.arange(0, blocks)  # 64 bits: embeddings can exceed 2³¹ elements
    element = block[:, None] * 4 + tl.arange(0, 4)[None, :]  # (blocks, 4): a thread's four lie together, as a warp's do
    inside = element < count
    weight = tl.load(base + element, mask=inside)
    # Product and sum are rounded apart. PyTorch fuses them where it can: in float32 the last bit may differ for that alone, by
    # the product's rounding, at most σ·2⁻²¹ (|noise| < 8). In 16 bits it shows only where the sum is that close to a tie.
    value = weight.to(tl.float32) + sigma * normals(key, first + block)
    tl.store(out + element, value.to(out.dtype.element_ty), mask=inside)


def perturb_iid(out: torch.Tensor, base: torch.Tensor, name: str, perturbation: Perturbation, start: int = 0) -> None:
    """Writes base + σ·noise into `out`: what `perturb.perturb` does for scheme `iid`, in one kernel and without a buffer.

    Both tensors are contiguous, of one shape and device, and may be the same. They are elements start … of the parameter,
    `start` a multiple of 4. Added in float32 and rounded once to the dtype of `out`.
    """
    if perturbation.scheme != "iid":
        raise ValueError(f"the kernel makes iid noise only, not {perturbation.scheme}")
    if start % 4 or not (base.is_contiguous() and out.is_contiguous()):
        raise ValueError("the kernel needs contiguous tensors that start at a multiple of 4 elements")
    low, high = parameter_key(perturbation.seed, name)
    grid = (triton.cdiv(base.numel(), 4 * BLOCK),)
    if base.numel():
        with torch.cuda.device_of(base):  # Triton launches on the current device, whatever the tensors' is
            _perturb[grid](
                out,
                base,
                base.numel(),
                high << 32 | low,
                start // 4,
                perturbation.sigma,
                blocks=BLOCK,
                num_warps=WARPS,
                enable_fp_fusion=False,
            )


@triton.jit
def _perturb_all(out_like, base_like, table, owner, sigma, blocks: tl.constexpr):
    """`_perturb` for many parameters: `owner` (programs,) has each program's row of `table` (parameters, 5), int64.

    A row: addresses of out and base, Philox blocks, key, and the parameter's first program. All whole blocks, and of the dtypes
    of `out_like` and `base_like`.
    """
    program = tl.program_id(0)
    row = table + 5 * tl.load(owner + program)
    first = (program - tl.load(row + 4)) * blocks  # int64, as the table is
    out = tl.load(row).to(tl.pointer_type(out_like.dtype.element_ty)) + 4 * first
    base = tl.load(row + 1).to(tl.pointer_type(base_like.dtype.element_ty)) + 4 * first
    block = tl.arange(0, blocks)
    element = block[:, None] * 4 + tl.arange(0, 4)[None, :]
    inside = (block < tl.load(row + 2) - first)[:, None]  # the same for a block's four, which are one access
    weight = tl.load(tl.multiple_of(base, 16) + element, mask=inside)
    value = weight.to(tl.float32) + sigma * normals(tl.load(row + 3), first + block)
    tl.store(tl.multiple_of(out, 16) + element, value.to(out_like.dtype.element_ty), mask=inside)


def perturb_iid_all(out: Mapping[str, torch.Tensor], base: Mapping[str, torch.Tensor], perturbation: Perturbation) -> None:
    """`perturb_iid` for every parameter of `base`, by name, in one launch: a launch each would take longer than the noise."""
    alike: dict[tuple[torch.dtype, torch.dtype], list[str]] = {}
    for name, weight in base.items():
        target = out[name]
        if weight.numel() % 4 or (weight.data_ptr() | target.data_ptr()) % 16:
            perturb_iid(target, weight, name, perturbation)
        elif weight.numel():
            alike.setdefault((target.dtype, weight.dtype), []).append(name)
    for names in alike.values():
        _launch_all([out[name] for name in names], [base[name] for name in names], names, perturbation)


def _launch_all(
    out: Sequence[torch.Tensor], base: Sequence[torch.Tensor], names: Sequence[str], perturbation: Perturbation
) -> None:
    if not all(tensor.is_contiguous() for tensor in (*out, *base)):
        raise ValueError("the kernel needs contiguous tensors")
    device = base[0].device
    rows, programs, begun = [], [], 0
    for target, weight, name in zip(out, base, names, strict=True):
        low, high = parameter_key(perturbation.seed, name)
        blocks = weight.numel() // 4
        signed = high - (high >> 31 << 32)  # of the table's int64
        rows.append((target.data_ptr(), weight.data_ptr(), blocks, signed << 32 | low, begun))
        programs.append(triton.cdiv(blocks, BLOCK_OF_MANY))
        begun += programs[-1]
    owner = torch.arange(len(rows), dtype=torch.int32, device=device)
    owner = owner.repeat_interleave(torch.tensor(programs, device=device), output_size=begun)
    with torch.cuda.device_of(base[0]):
        _perturb_all[(begun,)](
            out[0],
            base[0],
            torch.tensor(rows, dtype=torch.int64, device=device),
            owner,
            perturbation.sigma,
            blocks=BLOCK_OF_MANY,
            num_warps=WARPS_OF_MANY,
            enable_fp_fusion=False,
        )
