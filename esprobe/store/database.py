"""An open results database: connections, transactions, the write lock, and the log that is copied into the file now and then.

Knows SQLite and what may go wrong with a file. Must not know a table.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from esprobe.errors import UserError
from esprobe.store import schema
from esprobe.store.connection import DatabaseFile, make_engine
from esprobe.store.connection import reading as reading_engine
from esprobe.store.faults import DAMAGED, FULL, damaged, disk_full, reason, unwritable
from esprobe.store.trust import check_triggers

CHECKPOINT_SHARE = 0.02  # of the time, at most, goes into copying the log into the file
CHECKPOINT_EVERY_S = 60.0  # unless that would be less often than this


class Database:
    """An open results database: its connections, transactions and log."""

    def __init__(self, path: Path) -> None:
        """Opens `path`, creating or upgrading it. Raises UserError if it is not a database of ours or cannot be written."""
        self.path = path
        self.file = DatabaseFile(path)
        self._here = threading.local()  # `connection`: of the transaction that `at_once` has open in this thread
        self.copy_at = 0.0  # when the log is to be copied into the file, by time.monotonic()
        try:
            if schema.inspect(path) != "current":
                schema.migrate(path)
            self.engine: Engine = make_engine(path, self.file)
            with self.engine.begin() as connection:  # an unwritable file shows now, before any work is done
                check_triggers(connection.connection.driver_connection, path)
        except (DBAPIError, OSError, sqlite3.Error) as error:
            raise UserError(unwritable(path, error)) from None

    def close(self) -> None:
        """Closes every connection."""
        self.checkpoint()  # SQLite does it only where no other process has the file open
        self.engine.dispose()

    def checkpoint(self) -> None:
        """Copies the log into the file, as far as no reader is in the way: a copy of the file alone then has nearly everything.

        A failure does not concern the work: the log keeps what it has, and where the disk is full the next write says so.
        """
        begun = time.monotonic()
        with suppress(sqlite3.Error, DBAPIError, UserError), closing(self.engine.raw_connection()) as pooled:
            pooled.driver_connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # type: ignore[union-attr]
        now = time.monotonic()
        self.copy_at = now + min(CHECKPOINT_EVERY_S, (now - begun) / CHECKPOINT_SHARE)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """For work whose rows another thread writes: after Ctrl-C inside, that thread stops waiting for other processes."""
        try:
            yield
        except KeyboardInterrupt:
            self.file.hurry()
            raise

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What this thread does with the store inside is one transaction under the write lock: all of it happens, or nothing."""
        if hasattr(self._here, "connection"):
            yield
            return
        with self.transaction() as connection:
            self._here.connection = connection
            try:
                yield
            finally:
                del self._here.connection

    @contextmanager
    def transaction(self, engine: Engine | None = None) -> Iterator[Connection]:
        """A transaction of this thread, or the one that `at_once` has open. Raises UserError with the reason of a failure."""
        if (outer := getattr(self._here, "connection", None)) is not None:
            yield outer
            return
        try:
            with (engine or self.engine).begin() as connection:
                yield connection
        except DBAPIError as error:
            if disk_full(error, self.path):
                raise UserError(f"{self.path}: {FULL}") from error
            if damaged(error):
                raise UserError(f"{self.path}: {DAMAGED}") from error
            raise UserError(f"{self.path}: {reason(error)}; what was written before is kept") from error

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that only reads, or the one that `at_once` has open."""
        return self.transaction(reading_engine(self.engine))
