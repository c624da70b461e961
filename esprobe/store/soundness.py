"""Whether a database contains what esprobe writes: SQLite enforces types only loosely, and a file may come from anywhere.

Knows tables, columns and what each may contain. Reads only; asked before a database is merged, and after reading one failed.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from math import inf
from pathlib import Path
from typing import Any

from esprobe.errors import UserError
from esprobe.methods import NAMES
from esprobe.store import schema
from esprobe.tasks.registry import find_tasks


def _text(*columns: str) -> str:
    return " AND ".join(f"typeof({column}) = 'text'" for column in columns)


def _whole(column: str) -> str:
    return f"(typeof({column}) = 'integer' AND {column} >= 0)"


def _number(column: str, most: str = "9e999") -> str:
    return f"(typeof({column}) IN ('integer', 'real') AND {column} BETWEEN 0 AND {most} AND {column} < 9e999)"


# What is true of every row of a table, and which of its columns are read as text and as JSON objects.
_TABLES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "model": (
        f"{_text('digest', 'name')} AND (folder IS NULL OR {_text('folder')}) AND (updates IS NULL OR {_text('updates')})",
        ("digest", "name", "folder", "updates"),
        (),
    ),
    "problem": (
        f"{_text('digest', 'task', 'payload')} AND (solvable IS NULL OR solvable IN (0, 1)) "
        f"AND (solution IS NULL OR {_text('solution')}) AND (chance IS NULL OR {_number('chance', '1')}) "
        f"AND (stratum IS NULL OR {_text('stratum')}) AND (outcomes IS NULL OR ({_whole('outcomes')} AND outcomes > 0))",
        ("digest", "task", "solution", "stratum"),
        ("payload",),
    ),
    "arm": (
        f"{_text('digest', 'task', 'method', 'settings')} AND method IN {NAMES} AND (value IS NULL OR {_number('value')}) "
        f"AND (rounding IS NULL OR {_text('rounding')})",
        ("digest", "task", "rounding"),
        ("settings",),
    ),
    "prompt": (_text("digest"), ("digest",), ()),
    "draw": (
        f"{_whole('number')} AND (seed IS NULL OR typeof(seed) = 'integer') AND (sigma IS NULL OR {_number('sigma')})",
        (),
        (),
    ),
    "run": (
        f"{_text('uuid', 'command', 'versions', 'machine', 'started', 'state')} AND (ended IS NULL OR {_text('ended')}) "
        f"AND (last_write IS NULL OR {_text('last_write')}) AND (message IS NULL OR {_text('message')})",
        ("uuid", "command", "started", "state", "last_write", "ended", "message"),
        ("versions", "machine"),
    ),
    "rollout": (
        f"{_whole('draw')} AND {_text('text', 'finish')} AND (tokens IS NULL OR {_whole('tokens')}) "
        f"AND (prompt_tokens IS NULL OR {_whole('prompt_tokens')})",
        ("text", "finish"),
        (),
    ),
    "score": (
        f"{_text('scorer', 'reason')} AND {_whole('draw')} AND (answer IS NULL OR {_text('answer')}) "
        f"AND (ballot IS NULL OR {_text('ballot')}) AND (expression IS NULL OR {_text('expression')}) "
        f"AND typeof(correct) = 'integer' AND correct IN (0, 1) AND {_number('reward', '1')}",
        ("scorer", "reason", "answer", "ballot", "expression"),
        (),
    ),
}

_KEYS = {
    "arm": (("model_id", "model", "id"),),
    "prompt": (("arm_id", "arm", "id"), ("problem_id", "problem", "id")),
    "draw": (("arm_id", "arm", "id"),),
    "rollout": (("problem_id", "problem", "id"), ("run_id", "run", "id"), ("(arm_id, draw)", "draw", "arm_id, number")),
    "score": (("(arm_id, draw, problem_id)", "rollout", "arm_id, draw, problem_id"),),
}


def first_defect(connection: sqlite3.Connection, name: str = "main") -> str | None:
    """In a few words the first thing in the database `name` that esprobe would not have written; None if all is sound."""
    tables = {
        row[0] for row in connection.execute(f"SELECT name FROM {name}.sqlite_master WHERE type = 'table' AND rootpage > 0")
    }
    for table in _TABLES:
        if table not in tables:
            return f"there is no table {table}"
    for table, (holds, texts, objects) in _TABLES.items():
        try:  # NOT INDEXED: an index may be intact where the row is damaged
            wrong = connection.execute(f"SELECT count(*) FROM {name}.{table} NOT INDEXED WHERE ({holds}) IS NOT 1").fetchone()[0]
            for column, parent, key in _KEYS.get(table, ()):
                wrong = (
                    wrong
                    or connection.execute(
                        f"SELECT count(*) FROM {name}.{table} WHERE {column} NOT IN (SELECT {key} FROM {name}.{parent})"
                    ).fetchone()[0]
                )
            for column in texts:
                for _ in connection.execute(f"SELECT {column} FROM {name}.{table} NOT INDEXED"):
                    pass  # a text that is no UTF-8 cannot be read, which shows now
            for column in objects:
                wrong += sum(
                    not _is_object(text) for (text,) in connection.execute(f"SELECT {column} FROM {name}.{table} NOT INDEXED")
                )
            if table == "arm":
                wrong += sum(not _is_rounding(text) for (text,) in connection.execute(f"SELECT rounding FROM {name}.arm"))
        except sqlite3.Error as error:
            return f"table {table} cannot be read ({error})"
        if wrong:
            return f"table {table} has {wrong:,} row{'' if wrong == 1 else 's'} that esprobe would not have written"
    there = [task for (task,) in connection.execute(f"SELECT DISTINCT task FROM {name}.problem ORDER BY task")]
    for task in find_tasks(there).values():
        for (text,) in connection.execute(f"SELECT payload FROM {name}.problem WHERE task = ?", [task.name]):
            try:
                # an older esprobe kept a target as it was written, so a value may be read differently, but no key
                if task.problem(found := json.loads(text)).payload.keys() != found.keys():
                    raise UserError("it would be read differently")
            except UserError as error:
                return f"table problem has a row that is no problem of {task.name} ({error})"
    return None


def _is_rounding(text: str | None) -> bool:
    """Whether it is what `tables.Arm` says of `rounding`: SQL's null, JSON's null, or numbers of each group of weights."""
    if text is None:
        return True
    try:
        found = json.loads(text)
        return found is None or all(
            isinstance(group[key], int | float) and 0 <= group[key] < inf
            for group in found["groups"].values()
            for key in ("weights", "sigma", "unchanged")
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return False


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, object_pairs_hook=_no_key_twice), dict)
    except (TypeError, ValueError, RecursionError):
        return False


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a key that occurs twice: SQLite takes its first value, and Python its last."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError
    return found


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what goes wrong inside because of the database's own rows into a UserError that names them."""
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:  # rows that are not ours may break any reader in any way; without a defect it is raised again
        with closing(schema.open_readonly(path)) as connection:
            defect = first_defect(connection)
        if defect is None:
            raise
        raise UserError(f"{path}: {defect}; restore it from a copy, or create it again") from error
