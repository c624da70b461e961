"""How esprobe opens SQLite for writing: WAL, foreign keys, waiting for other writers, one lock per writing transaction.

Knows the file, its locks and its log; no table.
"""

import logging
import os
import random
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from esprobe.errors import UserError

_LOG = logging.getLogger(__name__)
_READS = "esprobe_reads"  # the name of the option that tells reading transactions from writing ones
SAY_AFTER_S = 10.0  # how long to wait for another process's lock without a word
GRACE_S = 2.0  # how long to wait for it once the user has asked to stop
BUSY_MS = 120_000  # SQLite's own patience, for the short locks that are not a writer's

# A unit of work touches a page of the index of counts for every problem, and the next unit the same ones again. By SQLite's own
# settings they are copied into the database every few units; so it is every hundred, and the log grows to 64 MiB, or until
# `Store` copies it (see there), or the last connection closes.
CHECKPOINT_PAGES = 16384  # of 4 KiB
CACHE_PAGES = 4096


class DatabaseFile:
    """The file that a process has opened at a path: whether the path still names it, and how long to wait for its lock."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self.path = path
        self._absolute = path.absolute()
        self._opened: tuple[int, int] | None = None  # device and inode
        self._said = self._gave_up = False
        self._hurried: float | None = None  # since when

    def note_opened(self) -> None:
        """Takes the file that is at the path now for the one that was opened; the first time only."""
        if self._opened is None:
            self._opened = self._there()

    def check(self) -> None:
        """Raises UserError where the path no longer names the file that was opened: what is written there would be lost."""
        if self._opened is not None and self._there() != self._opened:
            raise UserError(
                f"{self.path}: was moved, replaced or removed while this command was writing to it; nothing more is written. If "
                f"it was moved, put it back next to {self.path.name}-wal, which has the newest rollouts, and the same command "
                "continues"
            )

    def hurry(self) -> None:
        """From now on a lock is waited for no longer than `GRACE_S`, all waits together."""
        if self._hurried is None:
            self._hurried = time.monotonic()

    def patiently(self, connection: Any, statement: str) -> None:
        """Executes a statement that another process's lock may delay, and waits for that as long as it takes.

        It is tried at short random intervals: SQLite's own grow to 100 ms, so the process that waits longest tries least often.
        Raises OperationalError for any other error, also where the transaction has read what another writer has changed since,
        which waiting does not cure; and where the lock is not free soon after `hurry`.
        """
        begun = time.monotonic()
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    connection.execute(statement).fetchall()
                    return
                except sqlite3.DatabaseError as error:
                    stale = error.sqlite_errorcode == sqlite3.SQLITE_BUSY_SNAPSHOT
                    if stale or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or self._gives_up():
                        raise OperationalError(statement, None, error) from error
                self._say_once(time.monotonic() - begun)
                time.sleep(random.uniform(0.001, 0.006))
        finally:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    def lock(self, connection: Any) -> None:
        """Begins a transaction with the write lock, on the file that was opened. Raises as `patiently` and `check`."""
        self.patiently(connection, "BEGIN IMMEDIATE")
        try:
            self.check()
        except UserError:
            connection.rollback()
            raise

    def _there(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._absolute)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _gives_up(self) -> bool:
        if self._hurried is None or time.monotonic() < self._hurried + GRACE_S:
            return False
        if not self._gave_up:
            self._gave_up = True
            _LOG.warning("%s: is still locked by another process; the same command repeats what is not written yet", self.path)
        return True

    def _say_once(self, waited: float) -> None:
        if not self._said and waited >= SAY_AFTER_S:
            self._said = True
            _LOG.warning(
                "%s: another process holds the write lock; waiting until it is free (Ctrl-C stops; what is written is kept)",
                self.path,
            )


def make_engine(path: Path, file: DatabaseFile | None = None) -> Engine:
    """An engine whose transactions begin with the write lock, so that none fails half-way for lack of it; see `reading`."""
    if not path.parent.is_dir():
        raise UserError(f"{path}: the folder {path.parent} does not exist; create it or choose another file with --db")
    watched = file or DatabaseFile(path)
    # `uri` is for ATTACH, which can then open another file read-only; the path itself is never one, nor the word :memory:
    engine = create_engine(
        URL.create("sqlite", database=os.path.realpath(path)), connect_args={"timeout": BUSY_MS / 1000, "uri": True}
    )

    @event.listens_for(engine, "do_connect")
    def before(_dialect: Any, _record: Any, _args: Any, _options: Any) -> None:
        watched.check()  # a new file in its place would be opened with the old one's log, and SQLite removes that

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own idea of transactions would commit before DDL
        watched.patiently(connection, "PRAGMA journal_mode = WAL")
        watched.note_opened()
        for pragma in ("foreign_keys = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size = {CACHE_PAGES}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(_READS):
            connection.exec_driver_sql("BEGIN")
        else:
            watched.lock(connection.connection.driver_connection)

    return engine


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that only read: they see one moment, wait for no writer, and keep none waiting."""
    return engine.execution_options(**{_READS: True})
