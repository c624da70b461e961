"""Loads a transformers model only if its checkpoint is exactly what its config asks for, and finds weights that noise would miss.

Knows transformers and the files of a model; nothing of tokens or of how noise is made.
"""

from collections.abc import Iterable
from logging import ERROR
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from esprobe.engines.models import ModelFiles
from esprobe.errors import UserError, one_line


def load(model: ModelFiles, dtype: str) -> Any:
    """The transformers model in `dtype` (a torch dtype's name), on the CPU.

    Raises UserError where it cannot be loaded, where the checkpoint lacks a tensor, has one that the config has no place for,
    or has one of another shape, where its files disagree on their tensors or are no longer those of the digest.
    """
    if model.config.get("is_encoder_decoder") is True:
        raise UserError(f"model {model.name!r} is an encoder with a decoder; esprobe samples only models that continue a text")
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)  # its report of what does not fit is a table; ours is a line
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            model.folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # reported, and refused below
            output_loading_info=True,
        )
    except Exception as error:  # whatever a library raises for a broken model
        raise UserError(f"model {model.name!r}: cannot be loaded ({one_line(error)})") from error
    finally:
        logging.set_verbosity(before)
    live, found = loaded
    if reason := _misfit(live, found):
        raise UserError(f"model {model.name!r}: its checkpoint is not what its config.json describes: {reason}")
    model.check_weights()
    model.check_unchanged()
    return live


def _misfit(live: Any, found: dict[str, Any]) -> str:
    """What the loader found missing, unexpected or of another shape; empty if the checkpoint fits.

    Tied weights, and buffers that old checkpoints contain, such as the rotary frequencies, do not count: transformers knows them.
    """
    order = {name: i for i, name in enumerate(live.state_dict())}
    missing = sorted(found["missing_keys"], key=lambda name: (order.get(name, len(order)), name))
    shapes = sorted(found["mismatched_keys"])
    parts = [
        _told(missing, "missing, and would be random numbers"),
        _told(sorted(found["unexpected_keys"]), "left over"),
        _told([f"{name} {tuple(held)} for {tuple(wanted)}" for name, held, wanted in shapes], "of another shape"),
        *map(str, found["error_msgs"]),
    ]
    return "; ".join(part for part in parts if part)


def _told(names: list[str], what: str) -> str:
    if not names:
        return ""
    rest = f" and {len(names) - 1:,} more are" if len(names) > 1 else " is"
    return f"{names[0]}{rest} {what}"


def unreached(live: Any, model: ModelFiles) -> str | None:
    """Why noise would not reach every weight of a model once and by its checkpoint's name, or None."""
    if model.quantized or getattr(live, "hf_quantizer", None) is not None:
        return "it is quantized: rounding to few bits would swallow the noise; use its original"
    parameters = dict(live.named_parameters())  # each once, tied ones under their first name
    odd = [name for name, p in parameters.items() if not p.is_floating_point() or p.dtype.itemsize < 2]
    if odd:
        return f"{odd[0]!r} has {parameters[odd[0]].dtype} values, too few bits for noise; use the model before it was quantized"
    names = _names(model.weights)
    foreign = sorted(set(parameters) - names)
    if foreign:
        return (
            f"transformers has {foreign[0]!r}, which is not in the checkpoint, so its noise is not defined; "
            "perturb this model with --backend vllm"
        )
    buffers = sorted(name for name, b in live.named_buffers() if name in names and b.is_floating_point())
    if buffers:
        return f"transformers keeps {buffers[0]!r} as a buffer, which noise does not reach; perturb it with --backend vllm"
    return None


def _names(weights: Iterable[Any]) -> set[str]:
    names: set[str] = set()
    for path in weights:
        with safe_open(path, framework="pt") as file:
            names.update(file.keys())
    return names
