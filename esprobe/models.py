"""Finds a model's files by name or path and identifies them by content. Loads a tokenizer, never weights."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from esprobe.errors import UserError

BUNDLED = "countdown-tiny"
# What changes a model's output: weights, architecture, stopping, tokenizer, chat template.
_PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.model", "vocab.txt", "merges.txt")


@dataclass(frozen=True)
class ModelFiles:
    """A model on this disk. `digest` identifies the content of its files, whatever it is called."""

    name: str
    folder: Path
    digest: str

    @property
    def config(self) -> dict[str, Any]:
        """The model's config.json."""
        return _json(self.folder / "config.json")

    def end_ids(self, tokenizer: Any) -> list[int]:
        """The tokens that end a generation: of generation_config.json, else config.json, else the tokenizer."""
        generation = self.folder / "generation_config.json"
        for source in (_json(generation) if generation.exists() else {}, self.config):
            ids = source.get("eos_token_id")
            if ids is not None:
                found = ids if isinstance(ids, list) else [ids]
                if not all(type(i) is int and 0 <= i < 1 << 31 for i in found):
                    raise UserError(f"model {self.name!r}: its eos_token_id is {str(ids)[:40]!r}, which is no token id")
                return sorted(found)
        return [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]

    def context_length(self) -> int:
        """The longest sequence the model can read, prompt included."""
        return int(self.config.get("max_position_embeddings", 1 << 30))


def find_model(name: str) -> ModelFiles:
    """The bundled model, a folder, or a Hugging Face name (taken from the local cache, or fetched). Raises UserError."""
    if name == BUNDLED:
        folder = Path(str(files("esprobe") / "models" / BUNDLED))
    elif name and os.path.isdir(name):  # False, and no error, for a name that no folder can have
        folder = Path(name).resolve()
        name = str(folder)
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not name.startswith("."):
        folder = _from_hub(name)
    else:
        raise UserError(f"model {name!r}: no such folder")
    if not name.isprintable():
        raise UserError(f"model {name!r}: its name holds control characters; rename the folder")
    if not (folder / "config.json").is_file():
        raise UserError(f"model {name!r}: {folder} has no config.json; is it a Hugging Face model folder?")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"model {name!r}: no .safetensors file in {folder}; only safetensors weights are loaded")
    return ModelFiles(name, folder, _digest(folder))


def load_tokenizer(model: ModelFiles) -> Any:
    """The model's tokenizer. Raises UserError if it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model.folder, trust_remote_code=False)
    except Exception as error:  # many libraries' own kinds; all mean the same to the user
        raise UserError(f"model {model.name!r}: its tokenizer cannot be loaded ({_first_line(error)})") from error


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_PATTERNS)))
    except Exception as error:  # not found, no network, bad name, no space: all mean the same to the user
        raise UserError(
            f"model {name!r}: neither {BUNDLED!r}, nor a folder, nor in the local cache, and it could not be fetched "
            f"({_first_line(error)})"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _digest(folder: Path) -> str:
    paths = sorted({path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()})
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.name} {_file_digest(path)}\n".encode())
    return total.hexdigest()[:32]


def _file_digest(path: Path) -> str:
    """SHA-256 of a file. Large files in the hub's cache are links to a blob that bears it as its name."""
    target = path.resolve()
    if path.is_symlink() and target.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", target.name):
        return target.name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: is not a JSON object")
    return content
