"""Another results database, opened next to ours: an older one as an upgraded copy, then both on one connection.

Knows files, schemas and transactions, not what is done with the rows. The other file is only read.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from esprobe.errors import UserError
from esprobe.store import schema
from esprobe.store.faults import disk_full, reason
from esprobe.store.store import Store


def has_log(database: Path) -> bool:
    """Whether a write-ahead log with something in it lies next to the file; reading may leave an empty one there."""
    log = database.with_name(f"{database.name}-wal")
    return log.exists() and log.stat().st_size > 0


@contextmanager
def current(other: Path, state: schema.State) -> Iterator[Path]:
    """The file itself, or an upgraded copy of an older one."""
    if state == "current":
        yield other
        return
    with TemporaryDirectory(prefix="esprobe-") as folder:
        copy = Path(folder) / "other.db"
        try:
            with closing(schema.open_readonly(other)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            schema.upgrade(copy)
        except Exception as error:  # of the disk, or whatever a hostile schema makes of the migrations
            why = f"the disk of {folder} is full" if disk_full(error, copy) else reason(error)
            raise UserError(f"{other}: a copy of it cannot be upgraded ({why}); nothing was merged") from error
        yield copy


@contextmanager
def attached(store: Store, other: Path) -> Iterator[sqlite3.Connection]:
    """A transaction on the store with `other` attached read-only as `other`, committed if all goes well.

    It sees one moment of `other` from the first look at it, and has the store's write lock from its first write on.
    """
    with closing(store.engine.raw_connection()) as pooled:
        connection: Any = pooled.driver_connection
        connection.set_progress_handler(lambda: 0, 1_000_000)  # gives Ctrl-C a chance within a long statement
        connection.execute("PRAGMA cache_size = -131072")  # KiB: the indexes of a few million rows
        connection.execute("ATTACH ? AS other", [schema.readonly_uri(other)])
        connection.execute("BEGIN")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.execute("COMMIT")
