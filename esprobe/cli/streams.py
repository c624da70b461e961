"""Standard error such that nothing that becomes of it ends the work: progress, warnings of libraries, Python's own words.

Knows file descriptors; not what is written to them, nor what standard output is for.
"""

import io
import os
import select
import sys
from contextlib import suppress
from typing import Any

PIECE = select.PIPE_BUF if hasattr(select, "PIPE_BUF") else 512  # bytes that a pipe which says it is ready takes without waiting
PATIENCE_MS = 1000  # for a reader that is slow


def keep_going() -> None:
    """Makes `sys.stderr` one that loses words rather than fails or waits for ever; for the start of a program.

    Its reader may leave or stop reading, the disk below it may be full, it may be closed or never wait. Standard streams that are
    closed are opened on nothing, so that no file of ours is taken for one of them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    with suppress(AttributeError, OSError, ValueError):  # None, or replaced by something without a descriptor
        sys.stderr.flush()
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_Forgiving(2), PIECE), encoding, errors="backslashreplace", line_buffering=True, write_through=True
    )


def is_unread(stream: Any) -> bool:
    """Whether the stream is a pipe or a socket that nobody reads any more."""
    try:
        return bool(_poll(stream.fileno(), 0) & (select.POLLERR | select.POLLHUP))
    except (AttributeError, OSError, ValueError):  # None, closed, or without a descriptor
        return True


def _poll(number: int, patience_ms: int) -> int:
    """What the descriptor is ready for, as a set of bits; 0 for nothing in time."""
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return sum(events for _, events in poll.poll(patience_ms))


class _Forgiving(io.RawIOBase):
    """A descriptor whose writes always succeed, though what was written may be lost."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.patience = PATIENCE_MS

    def writable(self) -> bool:
        """See RawIOBase."""
        return True

    def fileno(self) -> int:
        """See RawIOBase."""
        return self.number

    def isatty(self) -> bool:
        """See RawIOBase."""
        with suppress(OSError):
            return os.isatty(self.number)
        return False

    def write(self, content: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]  # the base names a private type
        """All of it, or as much as is taken; the number of bytes that were given."""
        rest = memoryview(content)
        with suppress(OSError):
            while rest and self._ready():
                rest = rest[os.write(self.number, rest[:PIECE]) :]
        return len(content)

    def _ready(self) -> bool:
        """Whether a piece can be written soon; a reader who once was too slow is not waited for until it reads again."""
        found = bool(_poll(self.number, self.patience))
        self.patience = PATIENCE_MS if found else 0
        return found
