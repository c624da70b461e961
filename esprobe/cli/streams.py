"""Standard error whose failures never end the work: it carries progress, warnings of libraries and Python's messages.

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
    """Replaces `sys.stderr` by one that drops output rather than fails or waits for ever; for the start of a program.

    Its reader may end or stop reading, the disk may be full, it may be closed or non-blocking. Standard streams that are closed
    are opened on /dev/null, so that no file opened later gets the number of one of them.
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
    """Whether the stream is a pipe or a socket whose reader has closed it."""
    try:
        return bool(_poll(stream.fileno(), 0) & (select.POLLERR | select.POLLHUP))
    except (AttributeError, OSError, ValueError):  # None, closed, or without a descriptor
        return True


def _poll(number: int, patience_ms: int) -> int:
    """What the descriptor is ready for, as a set of bits; 0 if it is ready for nothing in time."""
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
        """Writes all of it, or as much as the reader accepts; returns the number of bytes given."""
        rest = memoryview(content)
        with suppress(OSError):
            while rest and self._ready():
                rest = rest[os.write(self.number, rest[:PIECE]) :]
        return len(content)

    def _ready(self) -> bool:
        """Whether a piece can be written soon; a reader that was too slow once is not waited for until it reads again."""
        found = bool(_poll(self.number, self.patience))
        self.patience = PATIENCE_MS if found else 0
        return found
