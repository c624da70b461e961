"""What a database contains, by plain SQL."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def rows(db: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql, values).fetchall()


def messages(db: Path) -> str:
    """What all runs have noted, line by line."""
    return "\n".join(message or "" for (message,) in rows(db, "SELECT message FROM run"))


def everything(db: Path) -> list[str]:
    """All of it, as the statements that would make it again."""
    with closing(sqlite3.connect(db)) as connection:
        return list(connection.iterdump())
