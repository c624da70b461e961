"""Where vLLM's loader puts each tensor of a checkpoint: learned by watching it once, so that later weights go there at once.

Knows tensors and copies between them; must not know models, noise or vLLM.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Places(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, notes which of the tensors that went through `watched` is copied to where."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: dict[int, str] = {}  # of the tensors, by storage: an allocator gives that of an earlier one again
        self.copies: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def watched(self, pairs: Iterator[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """The pairs (checkpoint name, tensor) as they come; a loader is to copy each before it asks for the next."""
        for name, tensor in pairs:
            self.names[_storage(tensor)] = name
            self.copies[name] = []
            yield name, tensor

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every operation of torch comes by here, and is done."""
        if func is torch.ops.aten.copy_.default and (name := self.names.get(_storage(args[1]))) is not None:
            self.copies[name].append((args[0], args[1]))
        return func(*args, **(kwargs or {}))

    def found(self, live: Mapping[str, Tensor], sizes: Mapping[str, int]) -> dict[str, Tensor] | None:
        """The part of a live parameter that each tensor of the checkpoint was copied to, by its name.

        `sizes` has the tensors' elements. None where one was not copied as a whole, in one piece, into a part of its own.
        """
        storages = {_storage(weight) for weight in live.values()}
        parts: dict[str, Tensor] = {}
        taken: dict[int, list[tuple[int, int]]] = {}
        for name, elements in sizes.items():
            copies = self.copies.get(name, [])
            if len(copies) != 1:
                return None
            part, source = copies[0]
            whole = part.numel() == source.numel() == elements and part.is_contiguous() and source.is_contiguous()
            if not whole or _storage(part) not in storages:
                return None
            parts[name] = part
            start = int(part.storage_offset())
            taken.setdefault(_storage(part), []).append((start, start + elements))
        for ranges in taken.values():
            if any(end > start for (_, end), (start, _) in pairwise(sorted(ranges))):
                return None
        return parts


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
