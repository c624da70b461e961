"""Shows how far work is: one line that moves on a terminal, a plain line now and then elsewhere, nothing when quiet.

Writes to standard error, so that results on standard output stay clean.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from esprobe.cli.pace import Pace
from esprobe.pipeline.meter import Advance, Meter, Quiet
from esprobe.report.encoding import encodable

PLAIN_EVERY_S = 10.0
PLAIN_SHARE = 0.05  # of the time that has passed, where that is longer: a night's log has hundreds of lines, not thousands


class Plain(Quiet):
    """A line when a part is finished and, while it is not, now and then."""

    def start(self, parts: Mapping[str, int], unit: str) -> Advance:
        """See Meter."""
        pace = Pace(parts, unit, time.monotonic())
        spoken = pace.begun

        def advance(part: str, count: int) -> None:
            nonlocal spoken
            now = time.monotonic()
            finished = pace.advance(part, count, now)
            if finished or now - spoken >= max(PLAIN_EVERY_S, PLAIN_SHARE * (now - pace.begun)):
                spoken = now
                self.say(pace.plain(now))

        return advance

    def say(self, line: str) -> None:
        """See Meter."""
        with suppress(OSError, ValueError):  # its reader has gone, the disk is full, or it is closed
            print(encodable(line), file=sys.stderr, flush=True)


@contextmanager
def meter(quiet: bool) -> Iterator[Meter]:
    """The right meter: none when quiet, a line that moves on a terminal, plain lines elsewhere."""
    if quiet:
        yield Quiet()
    elif not on_terminal():
        yield Plain()
    else:
        from esprobe.cli.progress_bar import Bar

        with Bar() as bar:
            yield bar


def on_terminal() -> bool:
    """Whether standard error, if there is one, is a terminal whose lines can be written again."""
    with suppress(AttributeError, ValueError):
        return sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    return False
