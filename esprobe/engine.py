"""How esprobe opens SQLite for writing: WAL, foreign keys, patience with other writers, one lock per writing transaction."""

import random
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from esprobe.errors import UserError

_READS = "esprobe_reads"  # the name of the option that tells reading transactions from writing ones
PATIENCE_S = 120  # how long to wait for another writer's transaction

# A unit of work touches a page of the index of counts for every problem, and the next unit the same ones again. By SQLite's own
# settings they are copied into the database every few units; so it is every hundred, and the log grows to 64 MiB until the last
# connection closes.
CHECKPOINT_PAGES = 16384  # of 4 KiB
CACHE_PAGES = 4096


def make_engine(path: Path) -> Engine:
    """An engine whose transactions begin with the write lock, so that none fails half-way for want of it; see `reading`."""
    if not path.parent.is_dir():
        raise UserError(f"{path}: the folder {path.parent} does not exist; create it or choose another file with --db")
    # `uri` is for ATTACH, which can then open another file read-only; the path itself is never one, nor the word :memory:
    engine = create_engine(URL.create("sqlite", database=str(path.resolve())), connect_args={"timeout": PATIENCE_S, "uri": True})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own idea of transactions would commit before DDL
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size = {CACHE_PAGES}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(_READS):
            connection.exec_driver_sql("BEGIN")
        else:
            _take_lock(connection.connection.driver_connection)

    return engine


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that only read: they see one moment, wait for no writer, and keep none waiting."""
    return engine.execution_options(**{_READS: True})


def _take_lock(connection: Any) -> None:
    """BEGIN IMMEDIATE, tried at short random intervals: SQLite's own grow to 100 ms, so whoever waits longest asks least."""
    deadline = time.monotonic() + PATIENCE_S
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise OperationalError("BEGIN IMMEDIATE", None, error) from error
            time.sleep(random.uniform(0.001, 0.006))
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(PATIENCE_S * 1000)}")
