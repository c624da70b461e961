"""Writes a trained model as a Hugging Face folder. Knows checkpoints and updates; must not know where the updates come from."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers.utils import logging

from esprobe.arms import Update
from esprobe.engines import model_files
from esprobe.engines.checkpoint import load
from esprobe.engines.models import ModelFiles
from esprobe.errors import UserError
from esprobe.weights.update import add


def export(root: ModelFiles, updates: Sequence[Update], out: Path, dtype: str) -> None:
    """Saves the root after the updates into the new folder `out`: float32 keeps every bit, other dtypes are smaller.

    All files but those of the weights are the root's own. Raises UserError.
    """
    if out.exists():
        raise UserError(f"{out}: is there already; name another folder, or remove it")
    model = load(root, "float32")
    weights = {name: parameter.data for name, parameter in model.named_parameters() if parameter.is_floating_point()}
    for update in updates:
        add(weights, update)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it would be the only one here
    try:
        model.to(getattr(torch, dtype)).save_pretrained(out)
        found = model_files.loaded_files(root.folder)
        for name in found.keys() - model_files.weight_files(root.folder).keys() - {"config.json"}:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found[name], out / name)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None
