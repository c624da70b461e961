"""Reads a results database and cannot change it: the views' rows, and the user's queries.

Loads sqlite3 only, so that reports start at once; an older database is upgraded first.
"""

import sqlite3
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from esprobe.errors import UserError
from esprobe.store import schema
from esprobe.store.faults import DAMAGED, damaged
from esprobe.store.trust import check_views

_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_HARMLESS_PRAGMAS = {
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "integrity_check",
    "foreign_key_check",
}


def open_database(path: Path, snapshot: bool = False) -> sqlite3.Connection:
    """A connection that cannot write. With `snapshot` all its queries see one moment of the database, even during writes.

    Raises UserError if there is no database, or it is not ours.
    """
    if schema.existing(path) == "older":
        schema.migrate(path)
    connection = schema.open_readonly(path)
    try:
        check_views(connection, path)
    except sqlite3.Error as error:
        raise failure(error) from None
    connection.set_progress_handler(lambda: 0, 1_000_000)  # gives Ctrl-C a chance within a long query
    if snapshot:
        connection.execute("BEGIN")
    connection.set_authorizer(_authorize)
    return connection


def query(connection: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(column names, rows) of one SELECT. Raises UserError with SQLite's reason."""
    try:
        cursor = connection.execute(sql, values)
        if cursor.description is None:
            raise UserError("the query returns no rows; esprobe sql takes one SELECT statement")
        return _distinct([column[0] for column in cursor.description]), cursor.fetchall()
    except sqlite3.Error as error:
        raise failure(error) from None


def failure(error: sqlite3.Error) -> UserError:
    """The error where a query failed."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_AUTH:
        return UserError("only queries are allowed here: SELECT, or a PRAGMA that looks at tables")
    if damaged(error):
        return UserError(f"the query failed ({error}): {DAMAGED}")
    there = "; `SELECT name, sql FROM sqlite_master` lists tables, views and columns" if "no such" in str(error) else ""
    return UserError(f"the query failed: {error}{there}")


def _distinct(names: Sequence[str]) -> list[str]:
    """Column names of a join with the second `id` as `id_2`, or as the next that no column has, so that all can be keys."""
    given: list[str] = []
    for name in names:
        others = (f"{name}_{number}" for number in count(2))
        given.append(name if name not in given else next(other for other in others if other not in (*names, *given)))
    return given


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    allowed = action in _READS or (action == sqlite3.SQLITE_PRAGMA and first in _HARMLESS_PRAGMAS)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
