"""Finds a model's files by name or path and identifies them by content. Loads a tokenizer, never weights."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Any

from esprobe.arms import trained_name
from esprobe.bundled import MODELS
from esprobe.engines import model_files
from esprobe.engines.end_tokens import difference, end_tokens
from esprobe.engines.model_files import read_json
from esprobe.errors import UserError, one_line

BUNDLED_NEW_TOKENS = 64
NEW_TOKENS = 1024


@dataclass(frozen=True)
class ModelFiles:
    """A model on this disk. `digest` identifies the content of the files that loading reads, whatever it is called.

    `source` is what `find_model` finds it by: its folder's path, or else its name.
    """

    name: str
    folder: Path
    digest: str
    source: str
    stamps: tuple[tuple[str, int, int, int], ...] = ()  # of the files when the digest was taken
    named: bool = False  # whether the name is one that the user gave it
    twin: str | None = None  # the bundled model that has the same files: itself, or the one that this is a copy of

    @property
    def told(self) -> dict[str, str | None]:
        """What a database is to note of it: the name that the user gave it, and the folder that it is found by.

        A bundled model has its own name and is found by it, whatever a copy of it is called and wherever that is.
        """
        if self.twin is not None:
            return {"name": self.twin, "folder": None}
        told: dict[str, str | None] = {"name": self.name} if self.named else {}
        return told | ({"folder": self.source} if self.source == str(self.folder) else {})

    @property
    def twin_note(self) -> str | None:
        """A line for the user where a folder's model is a bundled one, which keeps its name."""
        return None if self.twin in (None, self.source) else f"{self.source} is the bundled model {self.twin}, and is called so"

    @property
    def config(self) -> dict[str, Any]:
        """The model's config.json."""
        return read_json(self.folder / "config.json")

    @property
    def weights(self) -> list[Path]:
        """The safetensors files with its weights."""
        return [path for name, path in model_files.weight_files(self.folder).items() if name != model_files.INDEX]

    @property
    def quantized(self) -> bool:
        """Whether a config says that its weights are stored in few bits."""
        config = self.config
        text = config.get("text_config")
        parts = [config, text if isinstance(text, dict) else {}]
        said = any(part.get(key) for part in parts for key in ("quantization_config", "compression_config"))
        return said or (self.folder / "hf_quant_config.json").is_file()

    def check_weights(self) -> None:
        """Raises UserError where loaders would read other weights than were saved: ask once the files have been read."""
        if reason := model_files.misplaced(self.folder):
            raise UserError(f"model {self.name!r}: its files of weights disagree ({reason}); fetch or save the model again")
        for path in () if self.quantized else self.weights:
            for name, kind in model_files.tensor_types(path).items():
                if kind[0] in "IU" and name.endswith((".weight", ".bias")):
                    raise UserError(
                        f"model {self.name!r}: {name} contains whole numbers ({kind}), and its config.json does not say how they "
                        "are scaled; use the model before it was quantized"
                    )

    def end_ids(self, tokenizer: Any) -> list[int]:
        """The tokens that end a generation: all that a config, the tokenizer or its chat template name. Raises UserError."""
        return sorted({i for ids in self._end_tokens(tokenizer).values() for i in ids})

    def end_note(self, tokenizer: Any) -> str | None:
        """A line for the user where those name different ones, else None. Raises UserError."""
        line = difference(self._end_tokens(tokenizer), tokenizer)
        return None if line is None else f"{self.name}: {line}"

    def _end_tokens(self, tokenizer: Any) -> dict[str, list[int]]:
        paths = [self.folder / name for name in ("config.json", "generation_config.json")]
        try:
            return end_tokens({path.name: read_json(path) for path in paths if path.is_file()}, tokenizer)
        except ValueError as error:
            raise UserError(f"model {self.name!r}: {error}") from None

    @property
    def bundled(self) -> bool:
        """Whether it came with the package."""
        return self.source in MODELS

    @property
    def new_tokens(self) -> int:
        """The longest generation where the user does not say: the bundled models' answers are short."""
        return BUNDLED_NEW_TOKENS if self.bundled else NEW_TOKENS

    def context_length(self) -> int:
        """The longest sequence the model can read, prompt included. Raises UserError."""
        return self._number("max_position_embeddings", self._number("n_positions", 1 << 30))

    def _number(self, key: str, default: int) -> int:
        """A positive whole number of the config, or of the part of it that describes a multimodal model's language."""
        config = self.config
        text = config.get("text_config")
        value = config.get(key, text.get(key) if isinstance(text, dict) else None)
        if value is None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or value < 1:
            raise UserError(f"model {self.name!r}: its config.json says {key} = {str(value)[:40]}, which is no length")
        return value

    def check_prompts(self, prompts: Sequence[Sequence[int]], tokenizer: Any) -> None:
        """Raises UserError if the model cannot read one of the prompts (token ids): it is too long, or has an unknown token."""
        longest, room = max(map(len, prompts)), self.context_length()
        if longest >= room:
            raise UserError(f"a prompt has {longest} tokens, but model {self.name!r} reads at most {room}")
        vocabulary = self._number("vocab_size", 1 << 31)
        largest = max(max(prompt, default=0) for prompt in prompts)
        if largest >= vocabulary:
            raise UserError(beyond_embedding(self.name, largest, vocabulary, tokenizer.convert_ids_to_tokens(largest)))

    def check_unchanged(self) -> None:
        """Raises UserError if the files are no longer those of the digest: what was loaded may be another model."""
        if not self.stamps:
            return
        try:
            found = model_files.loaded_files(self.folder)
            same = model_files.stamps(found) == self.stamps or model_files.digest(found) == self.digest
        except (OSError, UserError):
            same = False
        if not same:
            raise UserError(
                f"model {self.name!r}: its files were changed while it was loaded; start again once they are complete"
            )


def beyond_embedding(model: str, token: int, vocabulary: int, text: str | None = None) -> str:
    """The line for a token of a prompt that the model's embedding has no row for."""
    known = f" ({text})" if text else ""
    return (
        f"a prompt has token {token}{known}, but the embedding of model {model!r} ends at {vocabulary - 1}: "
        "its tokenizer belongs to another model, or a token was added and the embedding not resized"
    )


def find_model(source: str, name: str | None = None) -> ModelFiles:
    """A bundled model, a folder, or a Hugging Face name (taken from the local cache, or fetched). Raises UserError.

    A folder's model is called `name`, without it as the last part of its path; a copy of a bundled model as that one; any other
    has the name that it is found by. `es@3` is what a trained model is called, so a folder's is `es-3`.
    """
    named = name is not None
    if name is not None:
        _check_own_name(source, name)
    if source in MODELS:
        folder = _bundled_folder(source)
    elif source and os.path.isdir(source):  # False, and no error, for a name that no folder can have
        folder = Path(source).resolve()
        source = str(folder)
        name = name or folder_name(source)
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source) and not source.startswith("."):
        folder = _from_hub(source)
    else:
        raise UserError(f"model {source!r}: no such folder")
    if not source.isprintable():
        raise UserError(f"model {source!r}: its name contains control characters; rename the folder")
    if adapter := model_files.adapter(folder):
        raise UserError(f"model {source!r}: {adapter} is an adapter; merge it into its model first, and give the merged model")
    if not (folder / "config.json").is_file():
        raise UserError(f"model {source!r}: {folder} has no config.json; is it a Hugging Face model folder?")
    if read_json(folder / "config.json").get("transformers_weights") is not None:
        raise UserError(f"model {source!r}: its config.json names other weights in transformers_weights; save the model again")
    try:
        found = model_files.loaded_files(folder)
        stamps = model_files.stamps(found)  # first: what changes from here on is seen
        digest = model_files.digest(found)
        twin = source if source in MODELS else _bundled().get(digest)
        return ModelFiles(twin or name or source, folder, digest, source, stamps, named, twin)
    except OSError as error:
        raise UserError(f"model {source!r}: {error.filename or folder} cannot be read ({error.strerror or error})") from None


@cache
def _bundled() -> dict[str, str]:
    """Digest → name of each bundled model."""
    return {model_files.digest(model_files.loaded_files(_bundled_folder(name))): name for name in MODELS}


def _bundled_folder(name: str) -> Path:
    return Path(str(files("esprobe.bundled") / name))


def folder_name(path: str) -> str:
    """What the model in this folder is called where the user does not say."""
    name = PurePath(path).name or path
    return name if trained_name(name)[1] is None else name.replace("@", "-")


def _check_own_name(source: str, name: str) -> None:
    """Raises UserError where the model cannot be called by this name of the user's."""
    if source in MODELS or not os.path.isdir(source):
        raise UserError(f"--name {name}: only the model of a folder is given a name; {source} has one")
    if not name.strip() or not name.isprintable() or PurePath(name).is_absolute():
        raise UserError(f"--name {name!r}: a model's name is printable, not empty, and no path")
    if name in MODELS or trained_name(name)[1] is not None:
        raise UserError(f"--name {name}: a bundled or a trained model is called so; take another name")


def load_tokenizer(model: ModelFiles) -> Any:
    """The model's tokenizer. Raises UserError if it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model.folder, trust_remote_code=False)
    except Exception as error:  # each library raises its own; all mean the same to the user
        raise UserError(f"model {model.name!r}: its tokenizer cannot be loaded ({one_line(error)})") from error


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(model_files.PATTERNS)))
    except Exception as error:  # not found, no network, bad name, no space: all mean the same to the user
        raise UserError(
            f"model {name!r}: it is not bundled ({', '.join(MODELS)}), nor a folder, nor in the local cache, and could not be "
            f"fetched ({one_line(error)}); check its name and the network"
        ) from error
