"""What rounding to a dtype leaves of a perturbation: the effective σ and the share of weights that it does not move at all.

Knows tensors and their names in a checkpoint; nothing is written, and only a piece of one parameter is in memory at a time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esprobe.arms import Perturbation
from esprobe.weights import low_rank, perturb

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Rounding:
    """What rounding to the dtype leaves of a perturbation in a group of `weights`.

    `sigma` is the effective σ in units of the nominal one, `unchanged` the share of weights that keep their value.
    """

    weights: int
    sigma: float
    unchanged: float


_EMBEDDINGS = ("embed", "wte", "wpe", "word_embeddings", "lm_head", "embed_out")
_NORMS = ("norm", "ln_", "ln1", "ln2", "layernorm")


@dataclass
class Sums:
    """What is added up over the weights of one group; sums of two workers may be added."""

    weights: int = 0
    wanted: float = 0.0  # Σ (σ·noise)²
    moved: float = 0.0  # Σ (rounded weight − base)²
    unchanged: int = 0

    def add(self, other: "Sums") -> None:
        """Adds the sums of another worker."""
        self.weights += other.weights
        self.wanted += other.wanted
        self.moved += other.moved
        self.unchanged += other.unchanged

    @property
    def rounding(self) -> Rounding:
        """σ as the ratio of the two root mean squares of this very noise, so that a small group has no sampling error.

        Without noise (σ = 0) nothing is lost: 1.
        """
        return Rounding(self.weights, (self.moved / self.wanted) ** 0.5 if self.wanted else 1.0, self.unchanged / self.weights)


def group(name: str, dimensions: int) -> str:
    """The kind of weights that a parameter belongs to: those of one kind are of one size, and so are rounded alike."""
    last = name.lower().split(".")[-3:]
    if dimensions > 1:
        return "embeddings" if any(word in part for part in last for word in _EMBEDDINGS) else "matrices"
    if last[-1].endswith("bias"):
        return "biases"
    return "norms" if any(word in part for part in last for word in _NORMS) else "other"


def measure(
    base: "Iterable[tuple[str, Tensor]]", perturbation: Perturbation, dtype: "torch.dtype | None" = None
) -> dict[str, Sums]:
    """The sums of each group over the parameters (name, tensor) of the base, which a model has in `dtype` (None: in theirs)."""
    found: dict[str, Sums] = {}
    for name, weight in base:
        sums = found.setdefault(group(name, weight.dim()), Sums())
        held = dtype or weight.dtype
        if perturbation.scheme == "shared-seed":
            weight = weight.to(held)  # as published: all arithmetic is in the model's dtype
        for piece, wanted in _pieces(name, weight, perturbation):
            moved = (piece.float() + wanted).to(held).float() - piece.to(held).float()
            sums.weights += piece.numel()
            sums.wanted += float(wanted.double().square().sum())
            sums.moved += float(moved.double().square().sum())
            sums.unchanged += int((moved == 0).sum())
    return found


def _pieces(name: str, weight: "Tensor", perturbation: Perturbation) -> "Iterator[tuple[Tensor, Tensor]]":
    """A parameter's elements, and σ·noise of each, float32, as `perturb.perturb` or `low_rank.perturb_linear` adds it."""
    import torch

    flat = weight.reshape(-1)
    if perturbation.scheme == "shared-seed":
        generator = torch.Generator(device=weight.device).manual_seed(perturbation.seed)
        made = torch.randn(weight.shape, generator=generator, dtype=weight.dtype, device=weight.device) * perturbation.sigma
        yield flat, made.reshape(-1).float()
        return
    if perturbation.scheme == "low-rank":
        made = low_rank.noise(perturbation.seed, name, weight.shape, perturbation.rank, weight.device)
        yield flat, made.mul_(perturbation.sigma).reshape(-1)
        return
    size = 4 * (perturb.CHUNK if weight.device.type == "cpu" else perturb.DEVICE_CHUNK)
    for start in range(0, flat.numel(), size):
        piece = flat[start : start + size]
        yield piece, perturb.normals(perturbation.seed, name, start, piece.numel(), weight.device) * perturbation.sigma
