"""How far work is, how fast it goes and how long the rest will take: numbers, and the line that fits a width.

Knows counts and times that it is handed; no clock, no terminal.
"""

from collections import deque
from collections.abc import Mapping

from esprobe.report.words import duration, per_second

WINDOW_S = 300.0  # the rate is that of the last minutes, since one arm may be slower than another
FEWEST = 8  # reports that it rests on at least, however slow they come
SHORTEST_BAR, LONGEST_BAR = 6, 30  # columns


class Pace:
    """Of work that has `parts`, name → units, and begins at `now`, in seconds of any clock."""

    def __init__(self, parts: Mapping[str, int], unit: str, now: float) -> None:
        """Nothing is done yet."""
        self.parts, self.unit = dict(parts), unit
        self.total, self.done = sum(parts.values()), 0
        self.part = next(iter(parts), "")  # the one that was worked at last
        self.begun = now
        self._done_of = dict.fromkeys(parts, 0)
        self._marks = deque([(now, 0)])  # when a report came, and how much was done by then

    def advance(self, part: str, count: int, now: float) -> bool:
        """So many more units of a part are done. Returns whether they finish it."""
        self.part = part
        self.done += count
        before = self._done_of[part]
        self._done_of[part] += count
        self._marks.append((now, self.done))
        while len(self._marks) > FEWEST and self._marks[1][0] < now - WINDOW_S:
            self._marks.popleft()
        return before < self.parts[part] <= self._done_of[part]

    @property
    def rate(self) -> float | None:
        """Units per second of the whole work, up to the last report; None before the first."""
        (begun, before), (last, done) = self._marks[0], self._marks[-1]
        return (done - before) / (last - begun) if last > begun else None

    def left_s(self, now: float) -> float | None:
        """Seconds until everything is done; None before the first report."""
        if not (rate := self.rate):
            return None
        return max(0.0, (self.total - self.done) / rate - (now - self._marks[-1][0]))

    def summary(self, now: float) -> str:
        """`12 of 28 rollouts in 4 min, 15/s`: what was done in all."""
        took = max(now - self.begun, 1e-9)
        return f"{self.done:,} of {self.total:,} {self.unit} in {duration(took)}, {per_second(self.done / took)}"

    def plain(self, now: float) -> str:
        """A line for a log: the part that was worked at last, and the whole work's count, rate and time left."""
        line = f"{self.part}: {self._done_of[self.part]:,} of {self.parts[self.part]:,} {self.unit}"
        if len(self.parts) > 1:
            line += f"; of all {self.done:,} of {self.total:,}"
        return ", ".join([line, *self._speed(now)])

    def line(self, columns: int, now: float) -> tuple[int, str]:
        """(columns for a bar, what stands behind it): the whole work in one line that fits, the more of it the wider."""
        share = f"{min(1.0, self.done / max(1, self.total)):4.0%}"
        count, speed = f"{self.done:,}/{self.total:,}", self._speed(now)
        full = [share, count, *speed, self.part]
        bar = min(LONGEST_BAR, columns - self._widest())
        if bar >= SHORTEST_BAR:
            return bar, "  ".join(full)
        choices = ["  ".join(full), " ".join(full), " ".join(full[:-1]), " ".join([share, *speed]), " ".join([share, *speed[1:]])]
        return 0, next((text for text in choices if len(text) <= columns), share)

    def _widest(self) -> int:
        """Columns of the longest text that will be beside the bar, which so keeps its length."""
        part = max(self.parts, key=len, default="")
        return len("  ".join(["", "100%", f"{self.total:,}/{self.total:,}", "99,999/s", "23 h 59 min left", part]))

    def _speed(self, now: float) -> list[str]:
        rate, left = self.rate, self.left_s(now)
        if rate is None or left is None:
            return []
        return [per_second(rate), *([f"{duration(left)} left"] if self.done < self.total else [])]
