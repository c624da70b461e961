"""Shows how long work goes: a bar with rate and time left on a terminal, a plain line now and then elsewhere, nothing when quiet.

Knows counts and words only. Writes to standard error, so that results on standard output stay clean.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

PLAIN_EVERY_S = 10.0


class Meter(Protocol):
    """Something that is told how far the work has come."""

    def start(self, what: str, total: int, unit: str) -> None:
        """A stretch of work of `total` units begins."""
        ...

    def advance(self, count: int) -> None:
        """`count` more units are done."""
        ...

    def say(self, line: str) -> None:
        """One line that the user should see."""
        ...


class Quiet:
    """Shows nothing."""

    def start(self, what: str, total: int, unit: str) -> None:
        """See Meter."""

    def advance(self, count: int) -> None:
        """See Meter."""

    def say(self, line: str) -> None:
        """See Meter."""


class Plain(Quiet):
    """A line every ten seconds and one at the end of each stretch."""

    def start(self, what: str, total: int, unit: str) -> None:
        """See Meter."""
        self.what, self.total, self.unit = what, total, unit
        self.count, self.begun = 0, time.monotonic()
        self.spoken = self.begun

    def advance(self, count: int) -> None:
        """See Meter."""
        self.count += count
        now = time.monotonic()
        if now - self.spoken < PLAIN_EVERY_S and self.count < self.total:
            return
        self.spoken = now
        rate = self.count / max(now - self.begun, 1e-9)
        left = (self.total - self.count) / rate
        self.say(f"{self.what}: {self.count:,} of {self.total:,} {self.unit}, {rate:,.0f}/s, {left:.0f} s left")

    def say(self, line: str) -> None:
        """See Meter."""
        print(line, file=sys.stderr, flush=True)


@contextmanager
def meter(quiet: bool) -> Iterator[Meter]:
    """The meter that fits: none when quiet, a bar on a terminal, plain lines elsewhere."""
    if quiet:
        yield Quiet()
    elif not sys.stderr.isatty():
        yield Plain()
    else:
        from esprobe.progress_bar import Bar

        with Bar() as bar:
            yield bar
