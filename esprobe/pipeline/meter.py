"""Something that follows how far work has come. Knows counts and words; how they are shown is the command line's business."""

from collections.abc import Callable
from typing import Protocol

Advance = Callable[[int], None]  # told how many more units are done


class Meter(Protocol):
    """Something that is told how far the work has come."""

    def start(self, what: str, total: int, unit: str) -> Advance:
        """A stretch of work of `total` units begins, perhaps beside others; returns what is to be told of its progress."""
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
