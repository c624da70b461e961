"""The interface of progress reports. Knows counts and words, not how they are shown."""

from collections.abc import Callable
from typing import Protocol

Advance = Callable[[int], None]  # called with the number of units done since the last call


class Meter(Protocol):
    """Receives the progress of work."""

    def start(self, what: str, total: int, unit: str) -> Advance:
        """A stretch of work of `total` units begins, perhaps while others run; returns the function that reports its progress."""
        ...

    def say(self, line: str) -> None:
        """One line that the user should see."""
        ...


class Quiet:
    """Shows nothing."""

    def start(self, what: str, total: int, unit: str) -> Advance:
        """See Meter."""
        return lambda count: None

    def say(self, line: str) -> None:
        """See Meter."""
