"""Shows how far work is: a bar with rate and time left on a terminal, a plain line now and then elsewhere, nothing when quiet.

Writes to standard error, so that results on standard output stay clean.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from esprobe.pipeline.meter import Advance, Meter, Quiet

PLAIN_EVERY_S = 10.0


class Plain(Quiet):
    """A line every ten seconds and one at the end of each stretch."""

    def start(self, what: str, total: int, unit: str) -> Advance:
        """See Meter."""
        begun = spoken = time.monotonic()
        done = 0

        def advance(count: int) -> None:
            nonlocal done, spoken
            done += count
            now = time.monotonic()
            if now - spoken < PLAIN_EVERY_S and done < total:
                return
            spoken = now
            rate = done / max(now - begun, 1e-9)
            self.say(f"{what}: {done:,} of {total:,} {unit}, {rate:,.0f}/s, {(total - done) / rate:.0f} s left")

        return advance

    def say(self, line: str) -> None:
        """See Meter."""
        with suppress(OSError, ValueError):  # its reader has gone, the disk is full, or it is closed
            print(line, file=sys.stderr, flush=True)


@contextmanager
def meter(quiet: bool) -> Iterator[Meter]:
    """The right meter: none when quiet, a bar on a terminal, plain lines elsewhere."""
    if quiet:
        yield Quiet()
    elif not _terminal():
        yield Plain()
    else:
        from esprobe.cli.progress_bar import Bar

        with Bar() as bar:
            yield bar


def _terminal() -> bool:
    """Whether standard error, if there is one, is a terminal."""
    with suppress(AttributeError, ValueError):
        return sys.stderr.isatty()
    return False
