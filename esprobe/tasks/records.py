"""Reads records from a user's file, JSON or CSV, and problems from records. What a record means is the task's business."""

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from esprobe.errors import UserError
from esprobe.tasks.base import Problem, Task

Records = list[tuple[str, Any]]  # (place, record)
_PACKED = {  # how such files begin → what to say of them
    b"PAR1": "a Parquet file; make JSON Lines of it: pandas.read_parquet(FILE).to_json(OUT, orient='records', lines=True)",
    b"\x1f\x8b": "compressed by gzip; unpack it first: gunzip FILE",
}
MAX_BYTES = 1 << 30  # of a file of records, which is read as a whole


def load_problems(
    task: Task, path: Path | None, offset: int = 0, limit: int | None = None, *, training: bool = False
) -> list[Problem]:
    """Problems `offset` to `offset + limit` of a data file; where `path` is None, of the task's own or those to train on.

    A problem that occurs twice in the selection is taken once.
    Raises UserError for a missing, broken or empty selection, naming the record.
    """
    if path is not None and not os.path.lexists(path):
        raise UserError(f"{path}: no such file; {task.source()}")
    end = None if limit is None else offset + limit
    if path is not None:
        problems = [task_problem(task, record, where) for where, record in read_records(path)]
    else:
        problems = task.training(end) if training else task.own(end)
    chosen = problems[offset:end]
    if not chosen:
        many = f"{len(problems):,} problem{'' if len(problems) == 1 else 's'}"
        raise UserError(
            f"--offset {offset} (typed or from a preset) is beyond the {many} of {path or 'the bundled set'}; lower it"
        )
    return list({p.digest: p for p in chosen}.values())


def task_problem(task: Task, record: Any, where: str) -> Problem:
    """`task.problem` with the record's place in the error message."""
    try:
        return task.problem(record)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def read_records(path: Path) -> Records:
    """(place, record) for each record of a file: a JSON array, JSON Lines, one JSON object of columns, or CSV by its name.

    Raises UserError.
    """
    text = _text(path)
    start = text.lstrip()[:1]
    if path.suffix.lower() == ".csv":
        records = _of_csv(path, text)
    elif start == "[":
        records = _of_array(path, text)
    elif start == "{" and (whole := _one_object(text)) is not None:
        columns = _rows(whole)
        records = [(f"{path}: record {i}", row) for i, row in enumerate(columns)] if columns else [(f"{path}: line 1", whole)]
    else:
        records = _of_lines(path, text)
    if not records:
        raise UserError(f"{path}: the file has no records")
    return records


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        for start, what in _PACKED.items():
            if content.startswith(start):
                raise UserError(f"{path}: {what}")
        if len(content) > MAX_BYTES:
            raise UserError(f"{path}: has more than {MAX_BYTES >> 20:,} MiB; cut it into several files")
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read as text: byte {error.start + 1:,} is not UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read as text ({_cause(error)})") from None


def _cause(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _of_array(path: Path, text: str) -> Records:
    try:
        return [(f"{path}: record {i}", record) for i, record in enumerate(json.loads(text))]
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); it should be a JSON array or one JSON object per line") from None


def _of_lines(path: Path, text: str) -> Records:
    records: Records = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}: line {number}"
            try:
                records.append((where, json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise UserError(f"{where}: not valid JSON ({error})") from None
    return records


def _one_object(text: str) -> Mapping[str, Any] | None:
    """The text as a single JSON object; None for several, one per line."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def _rows(whole: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of an object whose values are columns: lists, or objects by row as pandas writes them. Empty for any other."""
    columns = list(whole.values())
    if len(columns) < 2 or not columns[0]:
        return []
    if all(isinstance(column, list) for column in columns) and len({len(column) for column in columns}) == 1:
        return [dict(zip(whole, cells, strict=True)) for cells in zip(*columns, strict=True)]
    if all(isinstance(column, dict) and column.keys() == columns[0].keys() for column in columns):
        return [{name: whole[name][row] for name in whole} for row in columns[0]]
    return []


def _of_csv(path: Path, text: str) -> Records:
    """One record for each row under the names of the first; a cell in brackets is a JSON list."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        names = next(reader, [])
        rows = [(f"{path}: line {reader.line_num}", row) for row in reader if row]
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: not valid CSV ({error})") from None
    for where, row in rows:
        if len(row) != len(names):
            raise UserError(f"{where}: {len(row)} cells under {len(names)} names")
    return [(where, dict(zip(names, map(_cell, row), strict=True))) for where, row in rows]


def _cell(text: str) -> Any:
    if not text.startswith("["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
