"""One engine in this process."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from esprobe.engines.engine import Batch, Done, Engine, EngineSpec
from esprobe.engines.pool import Failures, Note, W, device_here
from esprobe.errors import UserError, one_line


class LocalPool:
    """One engine in this process."""

    def __init__(self) -> None:
        """Starts nothing yet."""
        self.engine: Engine | None = None

    def device(self, each: int = 1) -> str:
        """See Pool."""
        import torch

        device, there = device_here(), torch.cuda.device_count()
        if device != "cpu" and each > there:
            raise UserError(f"--tensor-parallel {each} needs so many GPUs, and there are {there}; lower it")
        return device

    def open(self, spec: EngineSpec, say: Note, pieces: int = 1) -> None:
        """See Pool."""
        self.spec, self.engine = spec, Engine(spec)

    def run(self, work: Iterable[W], ask: Callable[[W], Batch], note: Note) -> Iterator[tuple[W, Done]]:
        """See Pool; in the order of `work`."""
        failures = Failures(note)
        for piece in work:
            while isinstance(done := self._tried(ask(piece)), str):
                failures.add(piece, done)
                with suppress(Exception):  # the engine is broken
                    self.close()
                self.engine = Engine(self.spec)
            for line in done.notes:
                note(line)
            yield piece, done

    def _tried(self, batch: Batch) -> Done | str:
        """What the engine answers, or why it failed: vLLM's processes may die, and a new engine starts new ones."""
        assert self.engine is not None
        try:
            return self.engine.run(batch)
        except UserError:
            raise
        except Exception as error:  # whatever an engine raises: the work goes to a new one
            return one_line(error)

    def close(self) -> None:
        """See Pool."""
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.close()
