"""Reads problems from a user's file, a JSON array or JSON Lines. What a record means is the task's business."""

import json
import os
from pathlib import Path
from typing import Any

from esprobe.errors import UserError
from esprobe.tasks.base import Problem, Task

MAX_BYTES = 1 << 30  # of a file of records, which is read as a whole


def load_problems(task: Task, path: Path | None, offset: int = 0, limit: int | None = None) -> list[Problem]:
    """Problems `offset` to `offset + limit` of a data file, or of the task's own problems where `path` is None.

    A file is a JSON array or JSON Lines. A problem that occurs twice in the selection is taken once.
    Raises UserError for a missing, broken or empty selection, naming the record.
    """
    if path is not None and not os.path.lexists(path):
        raise UserError(f"{path}: no such file; {task.source()}")
    end = None if limit is None else offset + limit
    problems = task.own(end) if path is None else [task_problem(task, r, where) for where, r in read_records(path)]
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


def _cause(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def read_records(path: Path) -> list[tuple[str, Any]]:
    """(place, record) for each record of a JSON array or JSON Lines file. Raises UserError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UserError(f"{path}: has more than {MAX_BYTES >> 20:,} MiB; cut it into several files")
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({_cause(error)})") from None
    records: list[tuple[str, Any]] = []
    try:
        if text.lstrip().startswith("["):
            records = [(f"{path}: record {i}", record) for i, record in enumerate(json.loads(text))]
            text = ""
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); it should be a JSON array or one JSON object per line") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}: line {number}"
            try:
                records.append((where, json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise UserError(f"{where}: not valid JSON ({error})") from None
    if not records:
        raise UserError(f"{path}: the file has no records")
    return records
