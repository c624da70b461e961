"""The progress bar of a terminal, with rich; separate from `progress` so that short commands need not load it."""

from functools import partial
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from esprobe.pipeline.meter import Advance


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """The rate of the last seconds."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


class Bar:
    """A Meter that uses rich; use it as a context manager."""

    def __init__(self) -> None:
        """Draws on standard error."""
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    def __enter__(self) -> "Bar":
        """Starts drawing."""
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stops drawing; what was drawn stays."""
        self.progress.stop()

    def start(self, what: str, total: int, unit: str) -> Advance:
        """See Meter."""
        return partial(self.progress.advance, self.progress.add_task(what, total=total))

    def say(self, line: str) -> None:
        """See Meter."""
        self.progress.console.print(line, markup=False, highlight=False)
