"""Several engines on Ray, each with its GPUs, or one per process without GPUs: on this machine, or on a running cluster.

When an engine dies or hangs, another one does its piece of work again. Knows engines and Ray's actors, not what the work means.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from esprobe.engines.engine import Batch, Done, Engine, EngineSpec
from esprobe.engines.models import find_model
from esprobe.engines.pool import Failures, Note, W, device_here
from esprobe.engines.ray_cluster import Cluster
from esprobe.engines.ray_errors import why_failed
from esprobe.engines.todo import Todo
from esprobe.errors import UserError
from esprobe.weights.kept import KEPT, Passed

LEAST_TIMEOUT_S = 300.0  # without --engine-timeout: this, or so many times the slowest answer yet
TIMES_SLOWEST = 20.0
FIRST_TIMEOUT_S = 4 * 3600.0  # while there is no answer yet: loading a large model, the first batch
LOOK_EVERY_S = 1.0
NEWS_S = 5.0  # how long to wait for it, which is a copy of memory
NEWS = 16  # pieces of work whose noise may wait for an engine; of more it makes the noise itself


class Remote:
    """What runs in an engine's process. Starting is a separate call, so that its error reaches us whole."""

    def open(self, spec: EngineSpec, threads: str | None, sharing: int) -> None:
        """Starts the engine. Raises UserError.

        `threads` is the user's OMP_NUM_THREADS; without it `sharing` engines divide this machine's cores.
        """
        # Ray sets it to 1, which would be taken for the user's wish
        os.environ.pop("OMP_NUM_THREADS", None)
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = threads
        else:
            import torch

            torch.set_num_threads(max(1, (os.cpu_count() or 1) // sharing))
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # the engine has this process to itself already
        here = (spec.model.folder / "config.json").is_file()
        model = find_model(str(spec.model.folder) if here else spec.model.source)
        if model.digest != spec.model.digest:
            raise UserError(f"model {spec.model.name!r} has other files on {os.uname().nodename} than here; copy them there")
        self.engine = Engine(replace(spec, model=replace(model, name=spec.model.name)))

    def run(self, batch: Batch, news: Sequence[Any] = ()) -> tuple[Done, list[Passed]]:
        """See Engine; and the noise that it took. `news`: Ray's references to the latter, of other engines."""
        if news:
            import ray

            with suppress(ray.exceptions.RayError):  # lost with another engine: it is made again where it is wanted
                for noise in ray.get(list(news), timeout=NEWS_S):
                    KEPT.take(noise)
        return self.engine.run(batch), KEPT.pass_on()


@dataclass(eq=False)
class _Actor:
    """An engine's process as Ray has it. `news`: references to the noise that other engines have made meanwhile."""

    handle: Any
    news: deque[Any] = field(default_factory=lambda: deque(maxlen=NEWS))


@dataclass
class _Busy:
    """An engine at work; `piece` is None while it starts. `noise`: Ray's reference to what it will have made."""

    actor: _Actor
    piece: Any
    noise: Any = None
    since: float = field(default_factory=lambda: time.monotonic())

    @property
    def seconds(self) -> float:
        """How long it has been at it."""
        return time.monotonic() - self.since


def _kill(actor: _Actor) -> None:
    """Ends an engine; when Ray is gone, so is the engine."""
    import ray

    with suppress(Exception):
        ray.kill(actor.handle)


class RayPool:
    """See Pool."""

    def __init__(self, engines: int, address: str | None, timeout_s: float | None) -> None:
        """Starts nothing yet. Raises UserError if Ray is not installed, or is a version that admits any client."""
        self.engines, self.timeout_s = engines, timeout_s
        self.cluster = Cluster(address)
        self.busy: dict[Any, _Busy] = {}  # by what Ray will answer with
        self.slowest = 0.0  # seconds of a piece of work
        self.spare: list[_Actor] = []  # actors whose engine is open and has nothing to do

    def device(self, each: int = 1) -> str:
        """See Pool: the cluster's GPU, if there is a cluster, else this machine's."""
        _, gpus = self.cluster.share(self.engines, each)
        if not gpus:
            return "cpu"
        if self.cluster.address is None:
            return device_here()
        ray = self.cluster.ray
        return str(ray.get(ray.remote(num_cpus=0, num_gpus=1)(device_here).remote()))

    def open(self, spec: EngineSpec, say: Note, pieces: int = 1) -> None:
        """See Pool."""
        self.cluster.connect()
        say(self.cluster.exposure())
        failures = Failures(say)
        self.start = self._starter(spec)
        self.shares_noise = spec.trained and self.cluster.address is None  # a training wants it again; no network is faster
        self.wanted = min(self.engines, pieces)
        self._replace_lost()
        while not self.spare:
            for engine, outcome in self._answers():
                if isinstance(outcome, str):
                    failures.add(None, outcome)
                    self._replace_lost()
                else:
                    self.spare.append(engine.actor)

    def run(self, work: Iterable[W], ask: Callable[[W], Batch], note: Note) -> Iterator[tuple[W, Done]]:
        """See Pool."""
        todo, failures, self.ask = Todo(work), Failures(note), ask
        try:
            self._hand_out(todo)
            while todo or self._at_work():
                answers = self._answers()
                self._spread(answers)
                for engine, outcome in answers:
                    if isinstance(outcome, str):
                        self._lost(engine, outcome, todo, failures)
                    elif engine.piece is None:
                        failures.started()
                        self._give(engine.actor, None, todo)
                    else:
                        self.slowest = max(self.slowest, engine.seconds)
                        self._give(engine.actor, engine.piece, todo)  # before the answer is processed
                        for line in outcome.notes:
                            note(line)
                        yield engine.piece, outcome
        finally:
            for answer in self._at_work():  # nobody waits for it any more
                _kill(self.busy.pop(answer).actor)

    def close(self) -> None:
        """See Pool; Ray itself is ended too."""
        for actor in [*self.spare, *(engine.actor for engine in self.busy.values())]:
            _kill(actor)
        self.spare, self.busy = [], {}
        self.cluster.close()

    def _at_work(self) -> list[Any]:
        """The answers to come of engines that have a piece of work."""
        return [answer for answer, engine in self.busy.items() if engine.piece is not None]

    def _replace_lost(self) -> None:
        """Starts engines until there are as many as wanted."""
        for _ in range(self.wanted - len(self.spare) - len(self.busy)):
            actor, answer = self.start()
            self.busy[answer] = _Busy(actor, None)

    def _hand_out(self, todo: Todo) -> None:
        """Gives engines that have nothing to do a piece each while there are any, and replaces those that were lost."""
        for actor in [self.spare.pop() for _ in range(len(self.spare))]:
            self._give(actor, None, todo)
        if todo:
            self._replace_lost()

    def _give(self, actor: _Actor, last: Any, todo: Todo) -> None:
        """Hands an engine its next piece after `last`; it stays open if there is none, for the next run."""
        piece = todo.take(last)
        if piece is None:
            self.spare.append(actor)
        else:
            done, noise = actor.handle.run.options(num_returns=2).remote(self.ask(piece), list(actor.news))
            actor.news.clear()
            self.busy[done] = _Busy(actor, piece, noise)

    def _spread(self, answers: list[tuple[_Busy, Any]]) -> None:
        """Notes the noise that engines have made for all others, to be given with their next piece."""
        if not self.shares_noise:
            return
        actors = [*self.spare, *(engine.actor for engine in self.busy.values()), *(engine.actor for engine, _ in answers)]
        for made in [engine for engine, outcome in answers if engine.piece is not None and not isinstance(outcome, str)]:
            for actor in actors:
                if actor is not made.actor:
                    actor.news.append(made.noise)

    def _lost(self, engine: _Busy, reason: str, todo: Todo, failures: Failures) -> None:
        """Its piece goes to another engine. Raises UserError where that has happened too often."""
        if engine.piece is None and not todo:
            return  # it is not needed now
        failures.add(engine.piece, reason)
        if engine.piece is not None:
            todo.give_back(engine.piece)
        self._hand_out(todo)

    def _answers(self) -> list[tuple[_Busy, Any]]:
        """Engines that have answered since, each with its answer or, in words, why there is none. Raises UserError."""
        ray = self.cluster.ray
        answered, _ = ray.wait(list(self.busy), num_returns=1, timeout=LOOK_EVERY_S)
        if not answered:
            self.cluster.nodes()
        late = [answer for answer, engine in self.busy.items() if answer not in answered and engine.seconds > self._limit(engine)]
        # the last look may be long ago, so the time alone proves nothing
        came = ray.wait(late, num_returns=len(late), timeout=0)[0] if late else []
        found: list[tuple[_Busy, Any]] = []
        for answer in (*answered, *came):
            engine = self.busy.pop(answer)
            try:
                found.append((engine, ray.get(answer)))
            except Exception as error:  # Ray's own, and whatever an engine may raise
                if isinstance(cause := getattr(error, "cause", None), UserError):
                    raise UserError(str(cause)) from None
                _kill(engine.actor)
                found.append((engine, why_failed(error)))
        for answer in late:
            if answer not in came:
                engine = self.busy.pop(answer)
                _kill(engine.actor)
                found.append((engine, f"no answer in {engine.seconds:.0f} s"))
        return found

    def _limit(self, engine: _Busy) -> float:
        """The seconds after which an engine counts as hung."""
        if engine.piece is None:
            return FIRST_TIMEOUT_S
        if self.timeout_s is not None:
            return self.timeout_s
        return max(LEAST_TIMEOUT_S, TIMES_SLOWEST * self.slowest) if self.slowest else FIRST_TIMEOUT_S

    def _starter(self, spec: EngineSpec) -> Callable[[], tuple[_Actor, Any]]:
        """A function that starts an engine and returns its actor and the answer to wait for."""
        cpus, gpus = self.cluster.share(self.engines, spec.tensor_parallel)
        remote = self.cluster.ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0)(Remote)
        threads, sharing = os.environ.get("OMP_NUM_THREADS"), -(-self.engines // self.cluster.nodes())

        def start() -> tuple[_Actor, Any]:
            actor = remote.remote()
            return _Actor(actor), actor.open.remote(spec, threads, sharing)

        return start
