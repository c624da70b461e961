"""Low-rank noise of linear layers: a product of two thin matrices, another distribution than independent noise for every weight.

Knows tensors, not models: which parameters are linear layers is the caller's to say.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from esprobe.arms import Perturbation
from esprobe.weights import perturb

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def noise(
    seed: int, name: str, shape: "tuple[int, ...] | torch.Size", rank: int, device: "str | torch.device" = "cpu"
) -> "Tensor":
    """B·A/√r (out, in), float32, of the linear layer `name`: each element has mean 0 and variance 1.

    The factors A (r, in) and B (out, r) are standard normals, the `iid` noise of parameters of their own (Sarkar et al. 2025,
    "Evolution Strategies at the Hyperscale", arXiv 2511.16652). The r products are added up one after the other, each rounded,
    so that no library's order of summation matters. Raises ValueError unless `shape` is a matrix's.
    """
    rows, columns = shape
    a = perturb.normals(seed, f"{name} A of rank {rank}", 0, rank * columns, device).view(rank, 1, columns)
    b = perturb.normals(seed, f"{name} B of rank {rank}", 0, rows * rank, device).view(rows, rank).T.unsqueeze(-1)
    total = b[0] * a[0]
    for i in range(1, rank):
        total += b[i] * a[i]
    return total.mul_(rank**-0.5)


def perturb_linear(
    out: "Mapping[str, Tensor]", base: "Mapping[str, Tensor]", linear: Collection[str], perturbation: Perturbation
) -> None:
    """Writes base + σ·noise into `out` for the linear layers, added in float32 and rounded once; the base for all others."""
    import torch

    for name, weight in base.items():
        if name in linear:
            made = noise(perturbation.seed, name, weight.shape, perturbation.rank, weight.device)
            out[name].copy_(torch.add(weight.float(), made, alpha=perturbation.sigma))
        else:
            out[name].copy_(weight)
