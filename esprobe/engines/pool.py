"""What a pool of engines is: work is handed out as engines become free and comes back as generations.

Knows work and its failures, not where the engines run.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from esprobe.arms import Weights
from esprobe.engines.engine import Batch, Done, EngineSpec
from esprobe.errors import UserError

ATTEMPTS = 3  # how often a piece of work may bring its engine down before it is abandoned

Note = Callable[[str], None]


class Work(Protocol):
    """Something to be done by an engine; the pool knows nothing else of it."""

    @property
    def weights(self) -> Weights:
        """The weights that its batch will ask for."""
        ...


W = TypeVar("W", bound=Work)


class Pool(Protocol):
    """One or several engines, opened once, for any number of runs."""

    def device(self, each: int = 1) -> str:
        """What the engines will run on: `cpu`, or the name of the GPU.

        Raises UserError if there are too few for engines that span `each` of them.
        """
        ...

    def open(self, spec: EngineSpec, say: Note, pieces: int) -> None:
        """Starts engines, at most one for each of so many pieces of work in any one run, and waits for the first.

        `say` receives what the user should know at once. Raises UserError for a model that no engine can run.
        """
        ...

    def run(self, work: Iterable[W], ask: Callable[[W], Batch], note: Note) -> Iterator[tuple[W, Done]]:
        """Does all of the work, which is taken as engines become free, and yields each piece once it is finished, in any order.

        `ask` makes a piece's batch, only when an engine is free for it. `note` receives what happened on the way: an engine that
        was replaced, a batch that was halved. One run at a time: the engines stay open for the next one, and those that have died
        meanwhile are replaced. Raises UserError.
        """
        ...

    def close(self) -> None:
        """Ends every engine."""
        ...


class Failures:
    """Counts how often each piece of work brought an engine down, and how often in a row none could be started."""

    def __init__(self, note: Note) -> None:
        self.note = note
        self.failed: list[
            tuple[Work | None, str]
        ] = []  # with the pieces themselves, so that none takes another's place in memory

    def started(self) -> None:
        """An engine could be started."""
        self.failed = [(piece, reason) for piece, reason in self.failed if piece is not None]

    def add(self, work: Work | None, reason: str) -> None:
        """Notes one more of a piece of work, or of starting an engine (None). Raises UserError when it is one too many."""
        self.failed.append((work, reason))
        reasons = [why for piece, why in self.failed if piece is work]
        if len(reasons) == ATTEMPTS:
            what = "an engine could not be started" if work is None else "an engine failed at the same rollouts"
            told = f"{what} {ATTEMPTS} times ({reason}); what was finished is kept"
            if len(set(reasons)) == 1:  # in engines that had nothing in common: it will come again
                raise UserError(f"{told}, but the same command would fail again; try another --backend, --dtype or --batch-size")
            raise UserError(f"{told}, and the same command continues")
        self.note(f"an engine failed ({reason}) and was replaced" + ("" if work is None else "; its rollouts are done again"))


def device_here() -> str:
    """The GPU that torch takes on this machine, by name, else `cpu`."""
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"
