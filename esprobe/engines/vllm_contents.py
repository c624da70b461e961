"""What a checkpoint and a running model consist of: tensors by name, their elements, and a sum that tells contents apart.

Knows files and tensors; must not know noise or vLLM's worker.
"""

import json
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

CHUNK = 1 << 22  # elements at a time when contents are summed up


def checkpoint_files(folder: Path, tied: bool) -> dict[str, Path]:
    """Which file contains each tensor of a model's checkpoint that is a parameter of the model."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        found = {name: folder / file for name, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()}
    else:
        found = {}
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                found |= dict.fromkeys(file.keys(), path)
    # Old checkpoints contain the rotary frequencies, which are no parameter; a tied head is the embedding under a second name.
    return {
        name: path
        for name, path in found.items()
        if "rotary_emb." not in name and not (tied and name.split(".")[-2:] == ["lm_head", "weight"])
    }


def content(tensor: Tensor, ordered: bool = False) -> int:
    """A 64-bit sum over the float32 values of a tensor, zeros adding nothing: of the values alone, or of their places as well."""
    flat, total = tensor.detach().reshape(-1), 0
    for start in range(0, len(flat), CHUNK):
        bits = flat[start : start + CHUNK].float().view(torch.int32).long()
        bits = bits * 0x1E3779B97F4A7C15  # int64 wraps around; any mixing will do that is the same on every device
        bits = (bits ^ (bits >> 31)) * 0x2545F4914F6CDD1D
        if ordered:
            bits = bits * (2 * torch.arange(start, start + len(bits), device=bits.device) + 1)
        total += int(bits.sum())
    return wrap(total)


def wrap(total: int) -> int:
    """The sum as 64 bits, so that sums of parts can be added up."""
    return total & 0xFFFFFFFFFFFFFFFF


def parameters(model: Any) -> dict[str, Tensor]:
    """The floating-point parameters in the engine's order, each storage once."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, parameter in model.named_parameters():
        place = parameter.data_ptr()
        if parameter.is_floating_point() and not (place and place in seen):  # an empty tensor has no place
            found[name] = parameter.data
            seen.add(place)
    return found


def padding(model: Any) -> dict[int, int]:
    """Elements that vLLM adds to fill up the vocabulary, by storage: an embedding has rows that no token has."""
    return {
        module.weight.data_ptr(): (len(module.weight) - module.org_vocab_size) * module.weight.shape[1]
        for module in model.modules()
        if hasattr(module, "num_embeddings_padded") and hasattr(module, "org_vocab_size") and module.weight.ndim == 2
    }


def elements(path: Path, name: str) -> int:
    """How many weights a tensor of a checkpoint's file has; 0 if they are no floating-point numbers."""
    with safe_open(path, framework="pt") as file:
        piece = file.get_slice(name)
        return prod(piece.get_shape()) if piece.get_dtype().startswith(("F", "BF")) else 0  # F32, F16, BF16
