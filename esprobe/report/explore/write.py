"""The page for browsing: one HTML file with an overview of all arms, and two of them problem by problem, with real rollouts.

Ties together what it shows (`gather`) and how that becomes a file (`page`). Knows no task: a problem is shown by whatever its
payload contains.
"""

import os
import webbrowser
from contextlib import suppress
from pathlib import Path

from esprobe.analysis.exploration import Exploration
from esprobe.errors import UserError
from esprobe.report.explore.page import build
from esprobe.report.files import write_whole
from esprobe.report.words import counted

# How a database, its write-ahead log (of either byte order) and its rollback journal begin: the formats at sqlite.org.
_OF_SQLITE = (b"SQLite format 3\0", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")

PER_CELL = 4


def explore(found: Exploration, database: Path, out: Path, per_cell: int = PER_CELL, show: bool = False) -> str:
    """Writes the page of what was read of `database` to `out`, opens it in a browser if `show`, and returns one line about it.

    At most `per_cell` rollouts of each arm × problem are in it. The same database gives the same file, byte for byte.
    Raises UserError where `out` cannot be written, or belongs to a database.
    """
    if _holds_results(out, database):
        raise UserError(f"{out}: is a database or belongs to one; name another file with --out")
    page = build(found, database.name, per_cell)
    try:
        write_whole(out, page.content)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); name another file with --out") from None
    if show and not webbrowser.open(out.resolve().as_uri()):
        raise UserError(f"{out} is written, but no browser could be started; open it yourself")
    return (
        f"{out}: {len(page.content) / 1e6:.1f} MB with {counted(len(found.arms), 'arm')}, "
        f"{counted(len(found.problems), 'problem')} and {page.shown:,} of {counted(found.rollouts, 'rollout')}"
    )


def _holds_results(out: Path, database: Path) -> bool:
    """Whether writing the page would destroy a database, this one or another, or what SQLite keeps next to this one."""
    if os.path.realpath(out) in [os.path.realpath(database) + end for end in ("", "-wal", "-shm", "-journal")]:
        return True
    with suppress(OSError):
        if out.is_file():
            with out.open("rb") as file:
                return file.read(16).startswith(_OF_SQLITE)
    return False
