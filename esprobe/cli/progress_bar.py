"""The line of progress on a terminal, with rich; separate from `progress` so that short commands need not load it."""

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from esprobe.cli.pace import Pace
from esprobe.pipeline.meter import Advance
from esprobe.report.encoding import encodable

PER_SECOND = 4  # how often the line is drawn


class Bar:
    """A Meter whose last line moves; use it as a context manager."""

    def __init__(self) -> None:
        """Draws on standard error."""
        self.going: list[Pace] = []  # works that have begun and are not finished, the one that moved last at the end
        self.console = Console(stderr=True)
        self.live = Live(console=self.console, refresh_per_second=PER_SECOND, transient=True, get_renderable=self._line)

    def __enter__(self) -> "Bar":
        """Starts drawing."""
        self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stops drawing, and leaves a line of what was done of works that are not finished."""
        for pace in self.going:
            if pace.done:
                self.say(pace.summary(time.monotonic()))
        self.going.clear()
        self.live.stop()

    def start(self, parts: Mapping[str, int], unit: str) -> Advance:
        """See Meter. The line is of the work that moved last: a training goes on after one of its models was evaluated."""
        pace = Pace(parts, unit, time.monotonic())
        self.going.append(pace)
        self.live.refresh()  # at once, since a short work ends before the next drawing

        def advance(part: str, count: int) -> None:
            now = time.monotonic()
            if pace.advance(part, count, now) and len(pace.parts) > 1:
                self.say(f"{part}: {pace.parts[part]:,} {unit}")
            finished = pace.done >= pace.total
            self.going = [other for other in self.going if other is not pace] + ([] if finished else [pace])
            if finished:
                self.say(pace.summary(now))

        return advance

    def say(self, line: str) -> None:
        """See Meter."""
        self.console.print(encodable(line, self.console.encoding), markup=False, highlight=False, soft_wrap=True)

    def _line(self) -> Text:
        if not (going := self.going):
            return Text("")
        pace = going[-1]
        columns, text = pace.line(self.console.width, time.monotonic())
        return Text.assemble(*self._bar(pace, columns), text, no_wrap=True, overflow="crop", end="")

    def _bar(self, pace: Pace, columns: int) -> list[tuple[str, str]]:
        """What is done of so many columns, and what is left; nothing for 0 columns."""
        if not columns:
            return []
        full = min(columns, columns * pace.done // max(1, pace.total))
        done, left = "#-" if self.console.options.ascii_only else "━━"
        return [(done * full, "bar.complete"), (left * (columns - full), "bar.back"), (" ", "")]
