"""Several engines on Ray, one a GPU, or one a process where there is none: on this machine, or on a cluster that is there.

An engine that dies or hangs costs the work it had in hand, which another one does again. Knows engines and Ray, nothing of what
the work means.
"""

import os
import re
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from esprobe.arms import Perturbation
from esprobe.backends import Generation
from esprobe.errors import UserError, one_line
from esprobe.models import find_model
from esprobe.pool import Batch, Done, Engine, EngineSpec, Failures, Note, W

LEAST_TIMEOUT_S = 300.0  # without --engine-timeout: this, or so many times the slowest answer yet
TIMES_SLOWEST = 20.0
FIRST_TIMEOUT_S = 4 * 3600.0  # while there is no answer yet: loading a large model, the first batch
LOOK_EVERY_S = 1.0
CONNECT_S = 10.0
AUTH_TOKEN = Path.home() / ".ray" / "auth_token"
OBJECT_STORE = 100 << 20  # bytes: tokens need no more

_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # Ray prints what it has to say of a dead worker between our results
    "RAY_worker_niceness": "0",  # instead of 15: engines are what the machine is for
}


class Remote:
    """What runs in an engine's process. Starting is a call of its own, so that its error reaches us whole."""

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
        model = find_model(str(spec.model.folder) if here else spec.model.name)
        if model.digest != spec.model.digest:
            raise UserError(f"model {spec.model.name!r} has other files on {os.uname().nodename} than here; bring them in line")
        self.engine = Engine(replace(spec, model=replace(model, name=spec.model.name)))

    def run(self, batch: Batch) -> Done:
        """See Engine."""
        return self.engine.run(batch)


@dataclass
class _Busy:
    """An engine at work; `piece` is None while it starts."""

    actor: Any
    piece: Any
    since: float = field(default_factory=lambda: time.monotonic())

    @property
    def seconds(self) -> float:
        """How long it has been at it."""
        return time.monotonic() - self.since


class _Todo:
    """What is left to do, grouped by weights, so that an engine stays with the weights it has while there is work for them."""

    def __init__(self, work: Sequence[Any]) -> None:
        self.groups: dict[Perturbation | None, deque[Any]] = {}
        for piece in work:
            self.groups.setdefault(piece.perturbation, deque()).append(piece)
        self.untouched = deque(self.groups)

    def __bool__(self) -> bool:
        return any(self.groups.values())

    def take(self, last: Any) -> Any:
        """The next piece for the engine that did `last`; None when nothing is left."""
        own = self.groups.get(last.perturbation) if last is not None else None
        if not own and self.untouched:
            own = self.groups[self.untouched.popleft()]
        own = own or next((group for group in self.groups.values() if group), None)
        return own.popleft() if own else None

    def give_back(self, piece: Any) -> None:
        """To be done again."""
        self.groups[piece.perturbation].appendleft(piece)


def _kill(actor: Any) -> None:
    """Ends an engine; when Ray is gone, so is the engine."""
    import ray

    with suppress(Exception):
        ray.kill(actor)


class RayPool:
    """See Pool."""

    def __init__(self, engines: int, address: str | None, timeout_s: float | None) -> None:
        """Starts nothing yet. Raises UserError if Ray is not installed."""
        for name, value in _RAY.items():
            os.environ.setdefault(name, value)
        if address is not None and AUTH_TOKEN.exists():
            os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray's own clusters want it by default, its clients do not send it
        try:
            import ray
        except ImportError as error:
            raise UserError(f"several engines need Ray, which cannot be imported ({error}); install esprobe[ray]") from None
        self.ray: Any = ray
        self.engines, self.address, self.timeout_s = engines, address, timeout_s

    def has_gpu(self) -> bool:
        """See Pool: the cluster's, if there is one, else this machine's."""
        if self.address is not None:
            self._connect()
            return bool(self.ray.cluster_resources().get("GPU"))
        import torch

        return torch.cuda.is_available()

    def run(self, spec: EngineSpec, work: Sequence[W], note: Note) -> Iterator[tuple[W, list[Generation]]]:
        """See Pool."""
        ray, failures, todo = self.ray, Failures(note), _Todo(work)
        self._connect()
        start_engine = self._starter(spec, min(self.engines, len(work)))
        busy: dict[Any, _Busy] = {}  # by what Ray will answer with
        slowest = 0.0

        def start() -> None:
            actor, answer = start_engine()
            busy[answer] = _Busy(actor, None)

        def give(actor: Any, last: Any) -> None:
            piece = todo.take(last)
            if piece is None:
                _kill(actor)  # at the end of a sweep its memory may be of use to others
            else:
                busy[actor.run.remote(piece.batch())] = _Busy(actor, piece)

        try:
            for _ in range(min(self.engines, len(work))):
                start()
            while todo or any(engine.piece for engine in busy.values()):
                answered, _ = ray.wait(list(busy), num_returns=1, timeout=LOOK_EVERY_S)
                if not answered:
                    self._check_cluster()
                late = [a for a, engine in busy.items() if a not in answered and engine.seconds > self._limit(engine, slowest)]
                # nobody may have looked for a while, so it is not enough that much time has gone by
                came = ray.wait(late, num_returns=len(late), timeout=0)[0] if late else []
                hung = [a for a in late if a not in came]
                for answer in (*answered, *hung):
                    engine = busy.pop(answer)
                    try:
                        if answer in hung:
                            raise TimeoutError(f"no answer in {engine.seconds:.0f} s")
                        done = ray.get(answer)
                    except Exception as error:
                        cause = getattr(error, "cause", None)
                        if isinstance(cause, UserError):
                            raise UserError(str(cause)) from None
                        _kill(engine.actor)
                        if engine.piece is None and not todo:
                            continue  # nobody needs it any more
                        died = isinstance(error, ray.exceptions.RayActorError)
                        failures.add(engine.piece, "its process died" if died else one_line(cause or error))
                        if engine.piece is not None:
                            todo.give_back(engine.piece)
                        start()
                        continue
                    if engine.piece is None:
                        failures.started()
                        give(engine.actor, None)
                        continue
                    slowest = max(slowest, engine.seconds)
                    give(engine.actor, engine.piece)  # before anybody looks at the answer
                    for line in done.notes:
                        note(line)
                    yield engine.piece, done.generations
        finally:
            for engine in busy.values():
                _kill(engine.actor)
            ray.shutdown()

    def _check_cluster(self) -> None:
        """Raises UserError if there is nothing left that an engine could run on."""
        with suppress(Exception):  # no answer means the same as no nodes
            if any(node["Alive"] for node in self.ray.nodes()):
                return
        raise UserError("Ray's own processes have died; what was finished is kept, and the same command continues")

    def _limit(self, engine: _Busy, slowest: float) -> float:
        """After how many seconds an engine is taken for hung."""
        if engine.piece is None:
            return FIRST_TIMEOUT_S
        if self.timeout_s is not None:
            return self.timeout_s
        return max(LEAST_TIMEOUT_S, TIMES_SLOWEST * slowest) if slowest else FIRST_TIMEOUT_S

    def _starter(self, spec: EngineSpec, engines: int) -> Callable[[], tuple[Any, Any]]:
        """A function that starts an engine and returns its actor and the answer to wait for. Raises UserError."""
        resources = self.ray.cluster_resources()
        cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        available, kind = (gpus, "GPU") if gpus else (cpus, "CPU")
        if engines > available:
            raise UserError(f"{engines} engines need a {kind} each, and there are {available}; lower --engines")
        nodes = sum(node["Alive"] for node in self.ray.nodes())
        remote = self.ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_restarts=0)(Remote)
        threads, sharing = os.environ.get("OMP_NUM_THREADS"), -(-engines // nodes)

        def start() -> tuple[Any, Any]:
            actor = remote.remote()
            return actor, actor.open.remote(spec, threads, sharing)

        return start

    def _connect(self) -> None:
        """Joins the cluster at the address, or starts one on this machine. Raises UserError."""
        if self.ray.is_initialized():
            return
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        handler = signal.getsignal(signal.SIGTERM)
        try:
            if self.address is not None:
                if place := re.fullmatch(r"(?:ray://)?(.+):(\d+)", self.address):  # Ray itself tries for minutes
                    socket.create_connection((place[1], int(place[2])), timeout=CONNECT_S).close()
                self.ray.init(address=self.address, **quiet)
            else:
                cpus = max(self.engines, os.cpu_count() or 1)
                self.ray.init("local", num_cpus=cpus, include_dashboard=False, object_store_memory=OBJECT_STORE, **quiet)
        except Exception as error:  # many kinds; all mean the same to the user
            where = "on this machine" if self.address is None else f"at {self.address}"
            raise UserError(f"Ray cannot be reached or started {where} ({one_line(error)})") from None
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)  # Ray takes it for itself
