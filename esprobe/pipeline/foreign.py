"""How other programs write rollouts, brought into one form: a problem's record with `draw`, `text` and perhaps its tokens.

Knows the files of lm-evaluation-harness and Inspect. Does not know what a record means to a task.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from esprobe.errors import UserError, one_line
from esprobe.methods import IMPORTED
from esprobe.tasks.base import short
from esprobe.tasks.records import MAX_BYTES, read_records

FileFormat = Literal["auto", "esprobe", "lm-eval", "inspect"]
Records = list[tuple[str, Any]]  # (place, record)

_ENDINGS = {"stop": "stop", "max_tokens": "length", "model_length": "length"}  # Inspect's words for why a generation ended


def read_rollouts(path: Path, form: FileFormat) -> Records:
    """Every rollout of the file. Raises UserError where it is not of the form, which `auto` finds out."""
    records = _zipped(path) if path.is_file() and zipfile.is_zipfile(path) else read_records(path)
    found = _form(records) if form == "auto" else form
    if found == "lm-eval":
        return [rollout for where, record in records for rollout in _of_lm_eval(where, record)]
    if found == "inspect":
        return [_of_inspect(where, sample) for where, sample in _samples(records)]
    return records


def _form(records: Records) -> FileFormat:
    first = records[0][1]
    if isinstance(first, Mapping):
        if "doc" in first and "resps" in first:
            return "lm-eval"
        if ("output" in first and "epoch" in first) or ("samples" in first and "eval" in first):
            return "inspect"
    return "esprobe"


def _of_lm_eval(where: str, record: Any) -> Iterator[tuple[str, Any]]:
    """A line of a samples file: `doc` is the problem, `resps` has a list of texts per request. Filters repeat a line."""
    if not isinstance(record, Mapping) or not isinstance(record.get("doc"), Mapping) or not isinstance(record.get("resps"), list):
        raise UserError(f'{where}: not a sample of lm-eval: there should be "doc" and "resps"')
    texts = [text for request in record["resps"] for text in (request if isinstance(request, list) else [request])]
    for draw, text in enumerate(texts):
        yield where, {**record["doc"], "draw": draw, "text": text}


def _samples(records: Records) -> Iterator[tuple[str, Any]]:
    """The samples of a log, which is one JSON object, or of an .eval file, which has each in a file of its own."""
    for where, record in records:
        if isinstance(record, Mapping) and isinstance(record.get("samples"), list):
            yield from ((f"{where}: sample {i}", sample) for i, sample in enumerate(record["samples"]))
        else:
            yield where, record


def _of_inspect(where: str, sample: Any) -> tuple[str, Any]:
    """A sample: the input is the question, the target the answer, the metadata whatever else a task wants; epochs start at 1."""
    try:
        output = sample["output"]
        choice, usage = output["choices"][0], output.get("usage") or {}
        metadata, target = sample.get("metadata") or {}, sample["target"]
        question = _text(sample["input"][-1]["content"] if isinstance(sample["input"], list) else sample["input"])
        answer = target[0] if isinstance(target, list) and target else target
        return where, {
            "target": answer,
            **metadata,
            "question": question,
            "answer": answer,
            "metadata": metadata,
            "draw": sample["epoch"] - 1,
            "text": _text(choice["message"]["content"]),
            "tokens": usage.get("output_tokens"),
            "prompt_tokens": usage.get("input_tokens"),
            "finish": _ENDINGS.get(choice.get("stop_reason"), IMPORTED.name),
        }
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise UserError(f"{where}: not a sample of Inspect ({type(error).__name__}: {short(one_line(error))})") from None


def _text(content: Any) -> Any:
    """A message's content, which may be in parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return content


def _zipped(path: Path) -> Records:
    """The samples in Inspect's .eval file, each a JSON object."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.startswith("samples/") and name.endswith(".json")]
            if sum(archive.getinfo(name).file_size for name in names) > MAX_BYTES:
                raise UserError(f"{path}: has more than {MAX_BYTES >> 20:,} MiB of samples; convert a part of it")
            found = [(f"{path}: {name}", json.loads(archive.read(name))) for name in names]
    except (OSError, ValueError, RecursionError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        way_out = "make a JSON log of it: inspect log convert FILE --to json --output-dir DIR"
        raise UserError(f"{path}: cannot be read as an Inspect log ({one_line(error)}); {way_out}") from None
    if not found:
        raise UserError(f"{path}: is a zip archive without Inspect's samples/*.json")
    return found
