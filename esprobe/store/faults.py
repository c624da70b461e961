"""What went wrong with a file, in the user's words. Knows the error codes of SQLite and of the system, no table."""

import errno
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_LITTLE = 65_536  # bytes: SQLite calls it an I/O error when there is no room for its index of the log


FULL = "the disk is full; what was written before is kept: free some space, and the same command continues"
DAMAGED = "the file is damaged; use a copy of it, or what `sqlite3 FILE .recover` can still read"


def disk_full(error: object, path: Path) -> bool:
    """Whether the error on the database at `path` is due to lack of space."""
    if isinstance(error, OSError):
        return error.errno in _NO_SPACE
    code = _code(error)
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        with suppress(OSError):
            usage = shutil.disk_usage(path.absolute().parent)
            return usage.free < _LITTLE and usage.total > 0  # /proc and its like have no size
    return code == sqlite3.SQLITE_FULL


def damaged(error: object) -> bool:
    """Whether SQLite found a page that cannot be right."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def unwritable(path: Path, error: Exception) -> str:
    """The line for a database that cannot be opened for writing."""
    if disk_full(error, path):
        return f"{path}: {FULL}"
    return f"{path}: cannot be written ({reason(error)}); choose another file with --db"


def reason(error: Exception) -> str:
    """What SQLite or the system said."""
    return (error.strerror if isinstance(error, OSError) else None) or str(getattr(error, "orig", error))


def _code(error: object) -> int:
    """SQLite's primary error code, also of an error that SQLAlchemy wraps; 0 of any other."""
    return int(getattr(getattr(error, "orig", error), "sqlite_errorcode", 0)) & 0xFF
