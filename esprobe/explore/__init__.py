"""The page to look around in: one HTML file that shows two arms problem by problem, with real rollouts.

Ties together what is read (`gather`), what is chosen (`choose`) and how it becomes a file (`page`). Knows no task:
a problem is shown by whatever its payload holds.
"""

import sqlite3
import webbrowser
from pathlib import Path

from esprobe import reading
from esprobe.errors import UserError
from esprobe.explore.choose import PER_CELL, choose
from esprobe.explore.gather import gather
from esprobe.explore.page import MAX_BYTES, build
from esprobe.faults import discard

__all__ = ["MAX_BYTES", "PER_CELL", "explore"]


def explore(database: Path, out: Path, scorer: str = "countdown", per_cell: int = PER_CELL, show: bool = False) -> str:
    """Writes the page of the database's arms to `out`, opens it in a browser if `show`, and returns one line about it.

    At most `per_cell` rollouts of each arm × problem are in it. The same database gives the same file, byte for byte.
    Raises UserError where there is nothing to show or `out` cannot be written.
    """
    connection = reading.open_database(database, snapshot=True)
    if out.exists() and out.samefile(database):
        raise UserError(f"{out}: is the database itself; name another file with --out")
    try:
        results = gather(connection, scorer)
        page = build(results, choose(connection, scorer, per_cell), per_cell)
    except sqlite3.Error as error:
        raise reading.failure(error) from None
    finally:
        connection.close()
    try:
        out.write_bytes(page.content)
    except OSError as error:
        discard(out, error)
        raise UserError(f"{out}: cannot be written ({error.strerror}); name another file with --out") from None
    if show and not webbrowser.open(out.resolve().as_uri()):
        raise UserError(f"{out} is written, but no browser could be started; open it yourself")
    return (
        f"{out}: {len(page.content) / 1e6:.1f} MB with {len(results.arms)} arms, {len(results.problems):,} problems and "
        f"{page.shown:,} of {results.rollouts:,} rollouts"
    )
