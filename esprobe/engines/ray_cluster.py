"""Ray itself: imported such that it admits no stranger, started on this machine or joined where it runs, and its resources.

Knows Ray, its tokens and the machine's cores and GPUs; nothing of engines or of work.
"""

import os
import re
import secrets
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from esprobe.errors import UserError, one_line

CONNECT_S = 10.0
FIRST_WITH_TOKENS = (2, 52)
OVERSUBSCRIBE = "ESPROBE_OVERSUBSCRIBE"
OBJECT_STORE = 100 << 20  # bytes: tokens need no more

_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # Ray prints its report of a dead worker between our results
    "RAY_worker_niceness": "0",  # instead of 15: the engines are the main work of the machine
}


class Cluster:
    """The cluster at an address, or one of our own on this machine."""

    def __init__(self, address: str | None) -> None:
        """Starts nothing yet. Raises UserError if Ray is not installed, or is a version that admits any client."""
        self.address, self.ray = address, _ray(address)

    def available(self) -> tuple[int, int]:
        """CPUs and GPUs for engines: the cluster's, or what this process may use of this machine."""
        if self.address is None:
            import torch

            return _cores(), torch.cuda.device_count()
        self.connect()
        resources = self.ray.cluster_resources()
        return int(resources.get("CPU", 0)), int(resources.get("GPU", 0))

    def nodes(self) -> int:
        """How many machines are in it. Raises UserError if none is left that an engine could run on."""
        with suppress(Exception):  # no answer means the same as no nodes
            if alive := [node for node in self.ray.nodes() if node["Alive"]]:
                return len(alive)
        raise UserError("Ray's own processes have died; what was finished is kept, and the same command continues")

    def share(self, engines: int, each: int) -> tuple[float, float]:
        """The CPUs and GPUs of each engine: see `share`. Raises UserError."""
        return share(engines, each, *self.available())

    def exposure(self) -> str:
        """Which clients Ray admits to the engines, for people."""
        if self.address is None:
            return "Ray listens on every network interface of this machine; it admits only clients with this sweep's token"
        if os.environ.get("RAY_AUTH_MODE") == "token":
            return f"Ray at {self.address} is contacted with a token"
        return f"Ray at {self.address} is contacted without a token: any client that reaches it can run programs there"

    def connect(self) -> None:
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

    def close(self) -> None:
        """Leaves the cluster; one of our own ends."""
        self.ray.shutdown()


def share(engines: int, each: int, cpus: int, gpus: int) -> tuple[float, float]:
    """The CPUs and GPUs, of all there are, to reserve for each engine, which spans `each` GPUs, or cores where there are none.

    Raises UserError if there are too few; engines of one may share it where the user says so, but Ray divides only single GPUs.
    """
    most, kind = (gpus, "GPU") if gpus else (cpus, "CPU")
    divisible = each == 1 or not gpus
    if engines * each > most and not (divisible and _oversubscribed()):
        number = f"a {kind}" if each == 1 else f"{each} {kind}s"
        lower = "--engines" if each == 1 else "--engines or --tensor-parallel"
        otherwise = f", or set {OVERSUBSCRIBE}=1 to let them share" if divisible else ""
        raise UserError(f"{engines} engines need {number} each, and there are {most}; lower {lower}{otherwise}")
    return _reservable(min(cpus / engines, 1 if gpus else each)), _reservable(min(gpus / engines, each))


def _reservable(amount: float) -> float:
    """What Ray can reserve of it: a part of one, or whole ones."""
    return amount if amount < 1 else float(int(amount))


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
