"""Noise that is kept since it will be wanted again: the latest seeds', as far as there is room, and the way to other processes.

Knows tensors by seed and name of the parameter, which nobody may write to; must not know how noise is made.
"""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

KEPT_BYTES = 1 << 27  # of noise, at most: that of a training's iteration, for a model small enough
PASSED_BYTES = 3 << 20  # of a seed's noise, at most, that is worth its way to another process

# A seed, its parameters as (name, elements), and their noise, one after the other: an array of float32.
Passed = tuple[int, tuple[tuple[str, int], ...], Any]


class Kept:
    """A training wants the noise of its members again when it updates the model."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self.noise: dict[int, dict[str, Tensor]] = {}  # seed → name → noise; the oldest seed first
        self.bytes = 0
        self.fresh: dict[int, None] = {}  # the seeds, in order, whose noise was made here and not passed on yet

    def get(self, seed: int, name: str, size: int) -> "Tensor | None":
        """The noise (size,) of a parameter under the seed, if it is kept."""
        found = self.noise.get(seed, {}).get(name)
        return found if found is not None and len(found) == size else None

    def add(self, seed: int, made: "Mapping[str, Tensor]") -> None:
        """Keeps noise of parameters, all of their elements, and drops the oldest seeds beyond KEPT_BYTES."""
        self._add(seed, made)
        self.fresh[seed] = None

    def pass_on(self) -> list[Passed]:
        """What was made here since the last call, for `take`."""
        import torch

        seeds, self.fresh = self.fresh, {}
        found: list[Passed] = []
        for seed in seeds:
            made = self.noise.get(seed, {})
            if 0 < _bytes(made) <= PASSED_BYTES:
                found.append((seed, tuple((name, len(part)) for name, part in made.items()), torch.cat([*made.values()]).numpy()))
        return found

    def take(self, passed: Iterable[Passed]) -> None:
        """Keeps what another process has made."""
        import torch

        for seed, sizes, array in passed:
            noise = torch.tensor(array)  # a copy: the array may be another's memory
            starts = accumulate((size for _, size in sizes), initial=0)
            self._add(seed, {name: noise[start : start + size] for (name, size), start in zip(sizes, starts, strict=False)})

    def _add(self, seed: int, made: "Mapping[str, Tensor]") -> None:
        kept = self.noise.setdefault(seed, {})
        self.bytes -= _bytes(kept)
        kept.update(made)
        self.bytes += _bytes(kept)
        while self.bytes > KEPT_BYTES:
            self.bytes -= _bytes(self.noise.pop(next(iter(self.noise))))


def _bytes(noise: "Mapping[str, Tensor]") -> int:
    return sum(part.nbytes for part in noise.values())


KEPT = Kept()
