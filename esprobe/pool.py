"""Engines, and which of them works on what: work is handed out as they become free and comes back as generations.

One engine runs in this process; several, each a process of its own, are in `pool_ray`. Knows backends; tasks, texts and the
database stay outside.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from esprobe.arms import Perturbation
from esprobe.backends import Backend, Decoding, Generation, OutOfMemoryError, Rounding
from esprobe.errors import UserError, one_line
from esprobe.models import ModelFiles

ATTEMPTS = 3  # how often a piece of work may bring its engine down before it is given up

Note = Callable[[str], None]


@dataclass(frozen=True)
class EngineSpec:
    """What it takes to start an engine, anywhere: a backend's name, the model, a torch dtype's name, the end tokens.

    `perturbs`: noise will be asked for, and an engine that could not give it to every weight is to be refused at its start.
    """

    backend: str
    model: ModelFiles
    dtype: str
    end_ids: tuple[int, ...]
    perturbs: bool = False


@dataclass(frozen=True)
class Batch:
    """Prompts (token ids) to be continued together under one setting of the weights.

    `measure`: what rounding leaves of the perturbation is wanted as well.
    """

    perturbation: Perturbation | None
    prompts: Sequence[Sequence[int]]
    decoding: Decoding
    measure: bool = False


@dataclass(frozen=True)
class Done:
    """One generation a prompt, what the user should know of how they came about, and the rounding if it was asked for."""

    generations: list[Generation]
    notes: tuple[str, ...] = ()
    rounding: Mapping[str, Rounding] | None = None


class Work(Protocol):
    """Something to be done by an engine; its batch is only made when an engine is free."""

    @property
    def perturbation(self) -> Perturbation | None:
        """The weights that the batch will ask for."""
        ...

    def batch(self) -> Batch:
        """What to ask an engine for."""
        ...


W = TypeVar("W", bound=Work)


class Pool(Protocol):
    """One or several engines, opened once."""

    def device(self) -> str:
        """What the engines will run on: `cpu`, or the name of the GPU. Raises UserError if there are too few for the engines."""
        ...

    def open(self, spec: EngineSpec, say: Note, pieces: int) -> None:
        """Starts engines, at most one for each of so many pieces of work, and waits for the first.

        `say` is told what the user should know at once. Raises UserError for a model that no engine can run.
        """
        ...

    def run(self, work: Iterable[W], note: Note) -> Iterator[tuple[W, Done]]:
        """Does all of the work, which is taken as engines become free, and yields each piece once it is finished, in any order.

        `note` is told what happened on the way: an engine that was replaced, a batch that was halved. Raises UserError.
        """
        ...

    def close(self) -> None:
        """Ends every engine."""
        ...


class Engine:
    """A backend that halves its batches when memory runs out."""

    def __init__(self, spec: EngineSpec) -> None:
        """Starts the backend. Raises UserError."""
        self.backend = open_backend(spec)
        if spec.perturbs:
            try:
                self.backend.prepare()
            except BaseException:
                self.backend.close()
                raise
        self.rows: int | None = None  # at most so many at once, since memory ran out at twice as many

    def run(self, batch: Batch) -> Done:
        """One generation a prompt. Raises UserError if not even one prompt fits into memory."""
        rounding = None
        try:
            self.backend.set_weights(batch.perturbation)
            if batch.measure and batch.perturbation is not None:
                rounding = self.backend.rounding(batch.perturbation)
                if all(group.unchanged == 1 for group in rounding.values()):
                    raise UserError(
                        f"σ {batch.perturbation.sigma:g} changes no weight of this model: its dtype rounds it all away; "
                        "take a larger σ, or --dtype float32"
                    )
        except OutOfMemoryError:
            raise UserError(
                "perturbing needs memory for the weights twice, and there is not enough; use a smaller --dtype"
            ) from None
        generations: list[Generation] = []
        notes = []
        while (start := len(generations)) < len(batch.prompts):
            rows = min(self.rows or len(batch.prompts), len(batch.prompts) - start)
            part = slice(start, start + rows)
            try:
                generations += self.backend.generate(batch.prompts[part], batch.decoding.part(part))
            except OutOfMemoryError:
                if rows == 1:
                    raise UserError(
                        "not even one rollout fits into memory; lower --max-new-tokens, or use a smaller --dtype"
                    ) from None
                self.rows = rows // 2
                notes.append(f"out of memory at {rows} rollouts together: from now on {self.rows}")
        return Done(generations, tuple(notes), rounding)

    def close(self) -> None:
        """Gives back what the backend holds."""
        self.backend.close()


def open_backend(spec: EngineSpec) -> Backend:
    """Starts a backend by its name. Raises UserError."""
    if spec.backend == "vllm":
        from esprobe.backends.vllm_backend import VllmBackend

        return VllmBackend(spec.model, spec.dtype, spec.end_ids)
    if spec.backend != "transformers":
        raise UserError(f"there is no backend {spec.backend!r}; use transformers or vllm")
    from esprobe.backends.transformers_backend import TransformersBackend

    return TransformersBackend(spec.model, spec.dtype, spec.end_ids)


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


class LocalPool:
    """One engine in this process."""

    def __init__(self) -> None:
        """Starts nothing yet."""
        self.engine: Engine | None = None

    def device(self) -> str:
        """See Pool."""
        return device_here()

    def open(self, spec: EngineSpec, say: Note, pieces: int = 1) -> None:
        """See Pool."""
        self.spec, self.engine = spec, Engine(spec)

    def run(self, work: Iterable[W], note: Note) -> Iterator[tuple[W, Done]]:
        """See Pool; in the order of `work`."""
        failures = Failures(note)
        for piece in work:
            while isinstance(done := self._tried(piece.batch()), str):
                failures.add(piece, done)
                with suppress(Exception):  # it is broken
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
        except Exception as error:
            return one_line(error)

    def close(self) -> None:
        """See Pool."""
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.close()


def device_here() -> str:
    """The GPU that torch takes on this machine, by name, else `cpu`."""
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"


def open_pool(engines: int = 1, ray_address: str | None = None, timeout_s: float | None = None) -> Pool:
    """`engines` engines: one in this process, several through Ray on this machine or on the cluster at `ray_address`.

    `timeout_s`: after how many seconds without an answer an engine of several is taken for hung; None means a limit learned
    from the work so far. Raises UserError.
    """
    if engines == 1 and ray_address is None:
        return LocalPool()
    from esprobe.pool_ray import RayPool

    return RayPool(engines, ray_address, timeout_s)
