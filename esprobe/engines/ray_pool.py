"""Several engines on Ray, one per GPU, or one per process without GPUs: on this machine, or on a running cluster.

When an engine dies or hangs, another one does its piece of work again. Knows engines and Ray, not what the work means.
"""

import os
import re
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from esprobe.engines.engine import Batch, Done, Engine, EngineSpec
from esprobe.engines.models import find_model
from esprobe.engines.pool import Failures, Note, W, device_here
from esprobe.engines.ray_errors import why_failed
from esprobe.engines.todo import Todo
from esprobe.errors import UserError, one_line

LEAST_TIMEOUT_S = 300.0  # without --engine-timeout: this, or so many times the slowest answer yet
TIMES_SLOWEST = 20.0
FIRST_TIMEOUT_S = 4 * 3600.0  # while there is no answer yet: loading a large model, the first batch
LOOK_EVERY_S = 1.0
CONNECT_S = 10.0
FIRST_WITH_TOKENS = (2, 52)
OVERSUBSCRIBE = "ESPROBE_OVERSUBSCRIBE"
OBJECT_STORE = 100 << 20  # bytes: tokens need no more

_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # Ray prints its report of a dead worker between our results
    "RAY_worker_niceness": "0",  # instead of 15: the engines are the main work of the machine
}


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
        model = find_model(str(spec.model.folder) if here else spec.model.name)
        if model.digest != spec.model.digest:
            raise UserError(f"model {spec.model.name!r} has other files on {os.uname().nodename} than here; copy them there")
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


def _kill(actor: Any) -> None:
    """Ends an engine; when Ray is gone, so is the engine."""
    import ray

    with suppress(Exception):
        ray.kill(actor)


class RayPool:
    """See Pool."""

    def __init__(self, engines: int, address: str | None, timeout_s: float | None) -> None:
        """Starts nothing yet. Raises UserError if Ray is not installed, or is a version that admits any client."""
        self.engines, self.address, self.timeout_s = engines, address, timeout_s
        self.ray: Any = _ray(address)
        self.busy: dict[Any, _Busy] = {}  # by what Ray will answer with
        self.slowest = 0.0  # seconds of a piece of work
        self.spare: list[Any] = []  # actors whose engine is open and has nothing to do

    def device(self) -> str:
        """See Pool: the cluster's GPU, if there is a cluster, else this machine's."""
        cpus, gpus = self._available()
        most, kind = (gpus, "GPU") if gpus else (cpus, "CPU")
        if self.engines > most and not _oversubscribed():
            raise UserError(
                f"{self.engines} engines need a {kind} each, and there are {most}; lower --engines, or set {OVERSUBSCRIBE}=1 to "
                "let them share"
            )
        if not gpus:
            return "cpu"
        if self.address is None:
            return device_here()
        return str(self.ray.get(self.ray.remote(num_cpus=0, num_gpus=1)(device_here).remote()))

    def open(self, spec: EngineSpec, say: Note, pieces: int = 1) -> None:
        """See Pool."""
        self._connect()
        say(self._exposure())
        self.failures = Failures(say)
        self.start = self._starter(spec)
        for _ in range(min(self.engines, pieces)):
            self._start()
        while not self.spare:
            for engine, outcome in self._answers():
                if isinstance(outcome, str):
                    self.failures.add(None, outcome)
                    self._start()
                else:
                    self.spare.append(engine.actor)

    def run(self, work: Iterable[W], ask: Callable[[W], Batch], note: Note) -> Iterator[tuple[W, Done]]:
        """See Pool."""
        todo, failures, self.ask = Todo(work), self.failures, ask
        failures.note = note
        while self.spare:
            self._give(self.spare.pop(), None, todo)
        while todo or any(engine.piece for engine in self.busy.values()):
            for engine, outcome in self._answers():
                if isinstance(outcome, str):
                    if engine.piece is None and not todo:
                        continue  # it is not needed any more
                    failures.add(engine.piece, outcome)
                    if engine.piece is not None:
                        todo.give_back(engine.piece)
                    self._start()
                elif engine.piece is None:
                    failures.started()
                    self._give(engine.actor, None, todo)
                else:
                    self.slowest = max(self.slowest, engine.seconds)
                    self._give(engine.actor, engine.piece, todo)  # before the answer is processed
                    for line in outcome.notes:
                        note(line)
                    yield engine.piece, outcome

    def close(self) -> None:
        """See Pool; Ray itself is ended too."""
        for actor in [*self.spare, *(engine.actor for engine in self.busy.values())]:
            _kill(actor)
        self.spare, self.busy = [], {}
        self.ray.shutdown()

    def _start(self) -> None:
        actor, answer = self.start()
        self.busy[answer] = _Busy(actor, None)

    def _give(self, actor: Any, last: Any, todo: Todo) -> None:
        """Hands an engine its next piece, or ends it: towards the end of a sweep its memory may be of use to others."""
        piece = todo.take(last)
        if piece is None:
            _kill(actor)
        else:
            self.busy[actor.run.remote(self.ask(piece))] = _Busy(actor, piece)

    def _answers(self) -> list[tuple[_Busy, Any]]:
        """Engines that have answered since, each with its answer or, in words, why there is none. Raises UserError."""
        ray = self.ray
        answered, _ = ray.wait(list(self.busy), num_returns=1, timeout=LOOK_EVERY_S)
        if not answered:
            self._check_cluster()
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

    def _check_cluster(self) -> None:
        """Raises UserError if there is nothing left that an engine could run on."""
        with suppress(Exception):  # no answer means the same as no nodes
            if any(node["Alive"] for node in self.ray.nodes()):
                return
        raise UserError("Ray's own processes have died; what was finished is kept, and the same command continues")

    def _limit(self, engine: _Busy) -> float:
        """The seconds after which an engine counts as hung."""
        if engine.piece is None:
            return FIRST_TIMEOUT_S
        if self.timeout_s is not None:
            return self.timeout_s
        return max(LEAST_TIMEOUT_S, TIMES_SLOWEST * self.slowest) if self.slowest else FIRST_TIMEOUT_S

    def _available(self) -> tuple[int, int]:
        """CPUs and GPUs for engines: the cluster's, or what this process may use of this machine."""
        if self.address is None:
            import torch

            return _cores(), torch.cuda.device_count()
        self._connect()
        resources = self.ray.cluster_resources()
        return int(resources.get("CPU", 0)), int(resources.get("GPU", 0))

    def _starter(self, spec: EngineSpec) -> Callable[[], tuple[Any, Any]]:
        """A function that starts an engine and returns its actor and the answer to wait for."""
        cpus, gpus = self._available()
        nodes = sum(node["Alive"] for node in self.ray.nodes())
        share = min(1.0, cpus / self.engines), min(1.0, gpus / self.engines)
        remote = self.ray.remote(num_cpus=share[0], num_gpus=share[1], max_restarts=0)(Remote)
        threads, sharing = os.environ.get("OMP_NUM_THREADS"), -(-self.engines // nodes)

        def start() -> tuple[Any, Any]:
            actor = remote.remote()
            return actor, actor.open.remote(spec, threads, sharing)

        return start

    def _exposure(self) -> str:
        """Which clients Ray admits to the engines, for people."""
        if self.address is None:
            return "Ray listens on every network interface of this machine; it admits only clients with this sweep's token"
        if os.environ.get("RAY_AUTH_MODE") == "token":
            return f"Ray at {self.address} is contacted with a token"
        return f"Ray at {self.address} is contacted without a token: any client that reaches it can run programs there"

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
                self.ray.init("local", num_cpus=_cores(), include_dashboard=False, object_store_memory=OBJECT_STORE, **quiet)
        except Exception as error:  # many kinds; all mean the same to the user
            where = "on this machine" if self.address is None else f"at {self.address}"
            raise UserError(f"Ray cannot be reached or started {where} ({one_line(error)})") from None
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)  # Ray takes it for itself


def _ray(address: str | None) -> Any:
    """The module, imported such that a cluster of our own asks for a token of this process alone. Raises UserError."""
    for name, value in _RAY.items():
        os.environ.setdefault(name, value)
    mode = os.environ.get("RAY_AUTH_MODE", "token")
    if address is None:
        if mode != "token":
            raise UserError(
                f"RAY_AUTH_MODE is {mode!r}, and Ray listens on every network interface: any client could run programs "
                "as you; unset it"
            )
        os.environ["RAY_AUTH_MODE"] = "token"
        if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    elif _has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray's clusters expect it by default, its clients do not send it
    try:
        import ray
    except ImportError as error:
        raise UserError(f"several engines need Ray, which cannot be imported ({error}); install esprobe[ray]") from None
    if tuple(int(part) for part in ray.__version__.split(".")[:2]) < FIRST_WITH_TOKENS:
        raise UserError(
            f"Ray {ray.__version__} has no tokens: any client that reaches its ports could run programs as you; install "
            f"'ray>={'.'.join(map(str, FIRST_WITH_TOKENS))}'"
        )
    return ray


def _has_token() -> bool:
    """Whether Ray will find a token where it looks for one."""
    if {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
        return True
    with suppress(RuntimeError, OSError):  # a user without a home
        return (Path.home() / ".ray" / "auth_token").exists()
    return False


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _oversubscribed() -> bool:
    """Whether the user wants more engines than there are cores or GPUs."""
    return os.environ.get(OVERSUBSCRIBE, "") not in ("", "0")
