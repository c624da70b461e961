"""Which files loading a model reads, and what identifies them: their content, and no other file in the folder.

Knows the names that transformers and vLLM look for. Loads nothing.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from esprobe.errors import UserError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
CONFIGS = ("config.json", "generation_config.json", "hf_quant_config.json")  # the last one is read by vLLM alone
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    # what tokenizers of transformers are built from where there is no tokenizer.json, and some next to it
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "vocab.model",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
    "tiktoken.model",
    "bpe.codes",
    "dict.txt",
    "emoji.json",
    "byte_maps.json",
)
TEMPLATES = "additional_chat_templates"
ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
# Files by which a config or a tokenizer replaces config.json and tokenizer.json for a version of transformers.
_VERSIONED = (("config.json", "configuration_files"), ("tokenizer_config.json", "fast_tokenizer_files"))

# What is fetched from the hub: all of the above, and adapters, so that a model with one is refused.
PATTERNS = (
    "*.safetensors",
    *CONFIGS,
    INDEX,
    *TOKENIZER,
    "config.*.json",
    "tokenizer.*.json",
    f"{TEMPLATES}/*.jinja",
    ADAPTERS[0],
)


def loaded_files(folder: Path) -> dict[str, Path]:
    """The files that loading reads, by their names relative to the folder, in the order of these. Raises UserError."""
    names = {*CONFIGS, *TOKENIZER, *(f"{TEMPLATES}/{path.name}" for path in (folder / TEMPLATES).glob("*.jinja"))}
    for source, key in _VERSIONED:
        listed = read_json(folder / source).get(key) if (folder / source).is_file() else None
        names |= {_inside(folder, name, source) for name in (listed if isinstance(listed, list) else ())}
    found = {name: folder / name for name in names if (folder / name).is_file()} | weight_files(folder)
    return {name: found[name] for name in sorted(found)}


def weight_files(folder: Path) -> dict[str, Path]:
    """The files with the weights, as transformers chooses them, and the index that names them. Raises UserError."""
    if (folder / SINGLE).is_file():
        return {SINGLE: folder / SINGLE}
    if not (folder / INDEX).is_file():
        found = "other .safetensors files are there, but" if any(folder.glob("*.safetensors")) else "only safetensors are loaded:"
        raise UserError(f"{folder}: {found} there is neither {SINGLE} nor {INDEX}")
    weights = read_json(folder / INDEX).get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise UserError(f"{folder / INDEX}: has no weight_map")
    names = sorted({_inside(folder, name, INDEX) for name in weights.values()})
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder}: {missing[0]} is missing, one of {len(names)} files that {INDEX} names; fetch the model again")
    return {INDEX: folder / INDEX} | {name: folder / name for name in names}


def misplaced(folder: Path) -> str | None:
    """Where the index of the weights and the files that it names disagree on the tensors, in a few words; None otherwise.

    Loaders differ in which of the two they believe. Raises UserError, SafetensorError.
    """
    if (folder / SINGLE).is_file() or not (folder / INDEX).is_file():
        return None
    named = {name: _inside(folder, file, INDEX) for name, file in read_json(folder / INDEX).get("weight_map", {}).items()}
    held: dict[str, str] = {}
    for file in sorted(set(named.values())):
        for name in tensor_types(folder / file):
            if name in held:
                return f"{held[name]} and {file} both contain {name}"
            held[name] = file
    for name in sorted(named.keys() | held):
        if name not in held:
            return f"{INDEX} names {name}, which none of its files contains"
        if held[name] != named.get(name):
            return f"{held[name]} contains {name}, where {INDEX} says {named.get(name, 'that none does')}"
    return None


def tensor_types(path: Path) -> dict[str, str]:
    """Tensor name → type (`F16`, `I8`, …) of a safetensors file. Raises SafetensorError."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return {name: file.get_slice(name).get_dtype() for name in list(file.keys())}


def _inside(folder: Path, name: Any, source: str) -> str:
    """A relative name that stays inside the folder. Raises UserError."""
    path = PurePosixPath(name) if isinstance(name, str) and "\0" not in name else PurePosixPath("..")
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UserError(f"{folder / source}: names the file {str(name)[:80]!r}, which is not inside the model's folder")
    return str(path)


def digest(files: Mapping[str, Path]) -> str:
    """Identifies the files' names and contents: SHA-256, 32 hex digits."""
    total = hashlib.sha256()
    for name, path in files.items():
        total.update(f"{name} {_file_digest(path)}\n".encode())
    return total.hexdigest()[:32]


def stamps(files: Mapping[str, Path]) -> tuple[tuple[str, int, int, int], ...]:
    """What changes when a file is written to or replaced: inode, size and the time of the last change, of each."""
    found = []
    for name, path in files.items():
        state = path.stat()
        found.append((name, state.st_ino, state.st_size, state.st_ctime_ns))
    return tuple(found)


def _file_digest(path: Path) -> str:
    """SHA-256 of a file. The hub's cache has large files as links to a blob whose name it is."""
    target = path.resolve()
    if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", target.name) and _is_hub_blob(path, target):
        return target.name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_hub_blob(link: Path, target: Path) -> bool:
    """Whether `target` is `CACHE/models--…/blobs/…` and `link` leads to it from `snapshots` of the same model."""
    from huggingface_hub.constants import HF_HUB_CACHE

    cache, model = Path(HF_HUB_CACHE).resolve(), target.parent.parent
    return (
        target.parent.name == "blobs"
        and model.name.startswith("models--")
        and model.parent == cache
        and model / "snapshots" in Path(os.path.realpath(link.parent)).parents
    )


def adapter(folder: Path) -> str | None:
    """The name of an adapter's file in the folder, if there is one."""
    return next((name for name in ADAPTERS if (folder / name).exists()), None)


def stray_weights(folder: Path, weights: Iterable[Path]) -> list[str]:
    """Files of weights that vLLM would read besides, or in place of, those that transformers reads."""
    if (folder / INDEX).is_file():
        index = {folder / str(name) for name in read_json(folder / INDEX).get("weight_map", {}).values()}
        return sorted(path.name for path in index.symmetric_difference(weights))
    return sorted(path.name for path in set(folder.glob("*.safetensors")) - set(weights))


def read_json(path: Path) -> dict[str, Any]:
    """A file's JSON object. Raises UserError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: is not a JSON object")
    return content
