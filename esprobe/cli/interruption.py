"""Ctrl-C and SIGTERM: both raise KeyboardInterrupt, and the line about it says what becomes of the work.

Knows signals of this process. Must not know any command; one whose work continues says so itself.
"""

import signal
from typing import Any


class Interruption:
    """Whether the process was asked to stop, and whether the command that runs can be continued."""

    def __init__(self) -> None:
        self.asked = False
        self.continues = False

    def watch(self) -> None:
        """Makes SIGTERM end a command like Ctrl-C; for the start of a command."""
        self.asked = self.continues = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def line(self) -> str:
        """The error's words."""
        return "interrupted" + ("; what was finished is kept, and the same command continues" if self.continues else "")

    def _stop(self, _number: int, _frame: Any) -> None:
        self.asked = True
        raise KeyboardInterrupt


interruption = Interruption()
