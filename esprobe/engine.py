"""How esprobe opens SQLite for writing: WAL, foreign keys, patience with other writers, one lock per transaction."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from esprobe.errors import UserError

PATIENCE_S = 120  # how long to wait for another writer's transaction

# A unit of work touches a page of each index for every problem, and the next unit the same ones again. By SQLite's own settings
# they are copied into the database every third unit; so it is every forty, and the log grows to 64 MiB until the last one closes.
_FEWER_WRITES = ("wal_autocheckpoint = 16384", "cache_size = -16384")  # pages of 4 KiB; KiB


def make_engine(path: Path) -> Engine:
    """An engine whose every transaction begins with the write lock, so that it never fails half-way for want of it."""
    if not path.parent.is_dir():
        raise UserError(f"{path}: the folder {path.parent} does not exist; create it or choose another file with --db")
    # `uri` is for ATTACH, which can then open another file read-only; the path itself is made absolute and never one
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": PATIENCE_S, "uri": True})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own idea of transactions would commit before DDL
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL", *_FEWER_WRITES):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
