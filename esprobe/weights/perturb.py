"""The noise of a perturbation: which normal number belongs to which element of which parameter.

Scheme `iid` is counter-based: element i of parameter p under seed s is a function of (s, p's checkpoint name, i) and
nothing else, so any chunk can be made anywhere, alone, and is the same everywhere. Scheme `shared-seed` is the published one,
kept to reproduce published numbers: its noise is correlated. Knows tensors, not models.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import accumulate
from math import tau
from typing import TYPE_CHECKING, Any

from esprobe.arms import Perturbation
from esprobe.weights.kept import KEPT
from esprobe.weights.philox import parameter_key, philox

if TYPE_CHECKING:
    import torch
    from torch import Tensor


CHUNK = 1 << 16  # counters at a time on a CPU: the working set stays in its cache
DEVICE_CHUNK = 1 << 22  # and on an accelerator, where launches cost more than memory


def normals(seed: int, name: str, start: int, count: int, device: "str | torch.device" = "cpu") -> "Tensor":
    """Standard normals (count,), float32, of elements start … start + count − 1 of the parameter's `iid` noise.

    Words 0, 1 and 2, 3 of a Philox block make two normals each by Box–Muller: √(−2 ln u)·cos 2πv and ·sin 2πv with
    u = (word + 1)/2³² and v = word/2³². Computed in float64 and rounded once, so that devices agree.
    Long pieces are made by `fused.py` on a CPU where Numba is installed: about one number in 10⁷ differs, in its last bit.
    """
    import torch

    key = parameter_key(seed, name)
    first, last = start // 4, -(-(start + count) // 4)
    if str(device) == "cpu" and count >= CHUNK and (fill := _fused()):
        flat = torch.empty(4 * (last - first))
        fill(flat.numpy(), *key, first)
    else:
        chunk = CHUNK if str(device) == "cpu" else DEVICE_CHUNK
        blocks = (torch.arange(low, min(low + chunk, last), device=device) for low in range(first, last, chunk))
        pieces = [_box_muller(philox(key, counters)) for counters in blocks]
        flat = torch.cat(pieces) if pieces else torch.empty(0, device=device)
    return flat[start - 4 * first : start - 4 * first + count]


@cache
def _fused() -> Any:
    """`fused.fill`, or None where Numba is missing, does not fit numpy, or has nowhere to keep what it compiled."""
    try:
        from esprobe.weights.fused import fill
    except (ImportError, RuntimeError):
        return None
    return fill


def _box_muller(words: "tuple[Tensor, Tensor, Tensor, Tensor]") -> "Tensor":
    """Four normals of each block's four words, float32 (4 · blocks,)."""
    import torch

    four = torch.empty((len(words[0]), 4), dtype=torch.float32, device=words[0].device)
    for pair in (0, 2):
        radius = ((words[pair] + 1).double() * 2.0**-32).log_().mul_(-2).sqrt_()
        angle = words[pair + 1].double() * (tau * 2.0**-32)
        four[:, pair] = radius * angle.cos()
        four[:, pair + 1] = radius * angle.sin()
    return four.view(-1)


def add_normals(total: "Tensor", seed: int, name: str, start: int, coefficient: float) -> None:
    """Adds coefficient · `normals` of elements start … (a multiple of 4) to `total` (count,), float32.

    Product and sum are rounded apart, so that every device and every cut into pieces gives the same.
    """
    if total.is_cuda and _has_triton():
        from esprobe.weights.kernel import perturb_iid

        perturb_iid(total, total, name, Perturbation("iid", seed, coefficient), start)
    else:
        total.add_(normals(seed, name, start, len(total), total.device).mul_(coefficient))


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


def perturb(out: "Tensor", base: "Tensor", name: str, perturbation: Perturbation) -> None:
    """Writes base + σ·noise into `out` (same shape and device as `base`; both contiguous; `base` may be float32 for any `out`).

    `iid`: added in float32 and rounded once to the dtype of `out`. `shared-seed`: as published, one generator seeded again for
    every parameter and all arithmetic in the dtype of `out`; parameters of equal shape get identical noise.
    """
    import torch

    sigma, seed = perturbation.sigma, perturbation.seed
    if perturbation.scheme == "shared-seed":
        generator = torch.Generator(device=base.device).manual_seed(seed)
        noise = torch.randn(base.shape, generator=generator, dtype=out.dtype, device=base.device)
        out.copy_(base.to(out.dtype) + noise * sigma)
        return
    if base.is_cuda and _has_triton():
        from esprobe.weights.kernel import perturb_iid

        perturb_iid(out, base, name, perturbation)
        return
    source, target = base.view(-1), out.view(-1)
    chunk = 4 * (CHUNK if base.device.type == "cpu" else DEVICE_CHUNK)
    for start in range(0, source.numel(), chunk):
        piece = source[start : start + chunk]
        noise = normals(seed, name, start, piece.numel(), base.device)
        target[start : start + chunk] = torch.add(piece.float(), noise, alpha=sigma)  # never in place: it may be the base


def runs(base: "Mapping[str, Tensor]") -> Iterator[list[str]]:
    """The names in their order, in pieces to be perturbed one after the other: 4 · CHUNK elements at most, or one parameter."""
    run: list[str] = []
    size = 0
    for name, weight in base.items():
        if run and size + weight.numel() > 4 * CHUNK:
            yield run
            run, size = [], 0
        run.append(name)
        size += weight.numel()
    if run:
        yield run


def perturb_all(out: "Mapping[str, Tensor]", base: "Mapping[str, Tensor]", perturbation: Perturbation) -> None:
    """`perturb` for every parameter, by name. On a CPU the `iid` noise of small ones is made together, on a GPU that of all.

    A block costs some 150 operations whatever its length, so the many short parameters of a small model are one block.
    """
    if perturbation.scheme == "iid" and _has_triton() and all(weight.is_cuda for weight in base.values()):
        from esprobe.weights.kernel import perturb_iid_all

        perturb_iid_all(out, base, perturbation)
        return
    together: list[str] = []
    for name, weight in base.items():
        if perturbation.scheme != "iid" or weight.device.type != "cpu" or weight.numel() > CHUNK:
            perturb(out[name], weight, name, perturbation)
            continue
        if sum(base[other].numel() for other in together) + weight.numel() > 4 * CHUNK:
            _perturb_together(out, base, together, perturbation)
            together = []
        together.append(name)
    if together:
        _perturb_together(out, base, together, perturbation)


def _perturb_together(
    out: "Mapping[str, Tensor]", base: "Mapping[str, Tensor]", names: Sequence[str], perturbation: Perturbation
) -> None:
    import torch

    made = normals_together(perturbation.seed, {name: base[name].numel() for name in names}, keep=True)
    for name, noise in made.items():
        out[name].view(-1).copy_(torch.add(base[name].view(-1).float(), noise, alpha=perturbation.sigma))


def normals_together(seed: int, sizes: Mapping[str, int], *, keep: bool = False) -> "dict[str, Tensor]":
    """`normals` of all elements of small parameters on a CPU, by name; nobody may write to them. `keep`: see `kept`."""
    known = {name: found for name, size in sizes.items() if (found := KEPT.get(seed, name, size)) is not None}
    if len(known) == len(sizes):
        return known
    made = _made_together(seed, {name: size for name, size in sizes.items() if name not in known})
    if keep:
        KEPT.add(seed, made)
    return {name: known[name] if name in known else made[name] for name in sizes}


def _made_together(seed: int, sizes: Mapping[str, int]) -> "dict[str, Tensor]":
    """The blocks of all in one go, each with its own key."""
    import torch

    blocks = [-(-size // 4) for size in sizes.values()]
    keys = torch.tensor([parameter_key(seed, name) for name in sizes])
    k0, k1 = keys.repeat_interleave(torch.tensor(blocks), dim=0).unbind(1)
    flat = _box_muller(philox((k0, k1), torch.cat([torch.arange(count) for count in blocks])))
    starts = accumulate(blocks, initial=0)
    return {name: flat[4 * start : 4 * start + size] for (name, size), start in zip(sizes.items(), starts, strict=False)}
