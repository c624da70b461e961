"""The interface of progress reports. Knows counts and words, not how they are shown."""

from collections.abc import Callable, Mapping
from typing import Protocol

Advance = Callable[[str, int], None]  # called with a part of the work and how many of its units are done since the last call


class Meter(Protocol):
    """Receives the progress of work."""

    def start(self, parts: Mapping[str, int], unit: str) -> Advance:
        """Work begins that has these parts: name → how many units. Returns the function that reports its progress."""
        ...

    def say(self, line: str) -> None:
        """One line that the user should see."""
        ...


class Quiet:
    """Shows nothing."""

    def start(self, parts: Mapping[str, int], unit: str) -> Advance:
        """See Meter."""
        return lambda part, count: None

    def say(self, line: str) -> None:
        """See Meter."""
