"""Whether what a database runs by itself is ours: its views, which reports read, and triggers, which run on what is written.

Knows the file's schema, not its rows. A database may come from anywhere, and its owner may have added to it.
"""

import sqlite3
from pathlib import Path
from typing import Any

from esprobe.errors import UserError
from esprobe.store import schema

TABLES = ("model", "problem", "arm", "prompt", "draw", "run", "rollout", "score")


def check_views(connection: sqlite3.Connection, path: Path) -> None:
    """Raises UserError where a table is no plain table, or a view is not the one that esprobe makes: its numbers are not ours.

    Views of other names are the user's, and nothing here reads them.
    """
    found = {
        name.lower(): (kind, sql)
        for kind, name, sql in connection.execute(
            "SELECT CASE WHEN type = 'table' AND rootpage = 0 THEN 'virtual table' ELSE type END, name, sql FROM sqlite_master "
            "WHERE type IN ('table', 'view')"
        )
    }
    way_out = f"take its rows into a new database: esprobe --db NEW.db merge {path}"
    for table in TABLES:
        kind = found.get(table, ("missing", ""))[0]
        if kind != "table":
            raise UserError(f"{path}: its table {table} is {kind if kind == 'missing' else f'a {kind}'}; restore it from a copy")
    for view, statement in schema.view_statements().items():
        if found.get(view) != ("view", statement[statement.index("CREATE VIEW") :].rstrip(";")):
            raise UserError(f"{path}: its view {view} is not the one that esprobe makes, so it is not trusted; {way_out}")


def check_triggers(connection: Any, path: Path) -> None:
    """Raises UserError where a trigger would run on what is written: what is stored would not be what was generated."""
    for name, table in connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"):
        if table.lower() in TABLES:
            quoted = name.replace('"', '""')
            raise UserError(
                f"{path}: its trigger {name} would run on whatever is written to {table}, and esprobe has made none; remove it "
                f'(DROP TRIGGER "{quoted}"), or take its rows into a new database: esprobe --db NEW.db merge {path}'
            )
