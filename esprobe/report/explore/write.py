"""The page to look around in: one HTML file that shows two arms problem by problem, with real rollouts.

Ties together what is read (`gather`), what is chosen (`choose`) and how it becomes a file (`page`). Knows no task:
a problem is shown by whatever its payload holds.
"""

import os
import sqlite3
import webbrowser
from contextlib import suppress
from pathlib import Path

from esprobe.analysis import reading
from esprobe.errors import UserError
from esprobe.report.explore.choose import PER_CELL, choose
from esprobe.report.explore.gather import gather
from esprobe.report.explore.page import MAX_BYTES, build
from esprobe.report.files import write_whole

# How a database, its write-ahead log (of either byte order) and its rollback journal begin: the formats at sqlite.org.
_OF_SQLITE = (b"SQLite format 3\0", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")

__all__ = ["MAX_BYTES", "PER_CELL", "explore"]


def explore(database: Path, out: Path, scorer: str = "countdown", per_cell: int = PER_CELL, show: bool = False) -> str:
    """Writes the page of the database's arms to `out`, opens it in a browser if `show`, and returns one line about it.

    At most `per_cell` rollouts of each arm × problem are in it. The same database gives the same file, byte for byte.
    Raises UserError where there is nothing to show or `out` cannot be written.
    """
    connection = reading.open_database(database, snapshot=True)
    if _holds_results(out, database):
        raise UserError(f"{out}: is a database or belongs to one; name another file with --out")
    try:
        results = gather(connection, scorer)
        page = build(results, choose(connection, scorer, per_cell), per_cell)
    except sqlite3.Error as error:
        raise reading.failure(error) from None
    finally:
        connection.close()
    try:
        write_whole(out, page.content)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); name another file with --out") from None
    if show and not webbrowser.open(out.resolve().as_uri()):
        raise UserError(f"{out} is written, but no browser could be started; open it yourself")
    return (
        f"{out}: {len(page.content) / 1e6:.1f} MB with {len(results.arms)} arms, {len(results.problems):,} problems and "
        f"{page.shown:,} of {results.rollouts:,} rollouts"
    )


def _holds_results(out: Path, database: Path) -> bool:
    """Whether writing the page would destroy a database, this one or another, or what SQLite keeps beside this one."""
    if os.path.realpath(out) in [os.path.realpath(database) + end for end in ("", "-wal", "-shm", "-journal")]:
        return True
    with suppress(OSError):
        if out.is_file():
            with out.open("rb") as file:
                return file.read(16).startswith(_OF_SQLITE)
    return False
