"""Runs a library's functions in a process of their own, which is ended when a call takes too long.

Knows processes and JSON, not what is computed. Time is that process's own CPU time, so that a busy machine gives equal verdicts.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from importlib.util import find_spec
from typing import IO, Any

from esprobe.errors import UserError

LIMIT_S = 5.0  # CPU time of one call
HANGS_S = 300.0  # by the clock, for a call that sleeps


class StoppedError(Exception):
    """The call took more time than it may."""


class FailedError(Exception):
    """The call raised or ended its process; the message says how."""


class Killable:
    """The functions of a module, called in a process that is started when first needed and again after it ended.

    Arguments and results are plain JSON. Calls of several threads are done one after the other.
    """

    def __init__(self, module: str, package: str, extra: str) -> None:
        """`module` is ours and imports `package`, which the optional dependency `extra` of esprobe brings."""
        self.module, self.package, self.extra = module, package, extra
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)

    def check(self) -> None:
        """Raises UserError where the package is not installed."""
        if find_spec(self.package) is None:
            name = self.package.replace("_", "-")
            raise UserError(f"{name} is not installed; install it by: pip install 'esprobe[{self.extra}]'")

    def call(self, function: str, *arguments: Any, limit_s: float = LIMIT_S) -> Any:
        """What the function returns. Raises StoppedError, FailedError, and UserError where the package cannot be loaded."""
        with self._lock:
            if self._process is None:
                self._process = self._started()
            try:
                answer = _asked(self._process, [function, arguments, limit_s])
            except BaseException:  # Ctrl-C too: an answer that nobody waited for would be taken for the next call's
                self._end()
                raise
        if "raised" in answer:
            raise FailedError(answer["raised"])
        return answer["returned"]

    def close(self) -> None:
        """Ends the process; a later call starts another."""
        with self._lock:
            self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        self.check()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "esprobe.tasks.killable_child", self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # equal hashes put equal sets in equal order, on which some libraries' results depend
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"},
            process_group=0 if os.name == "posix" else None,  # Ctrl-C is for us, the end of its input is for it
        )
        ready = json.loads(_pipes(process)[1].readline() or '{"raised": "its process ended"}')
        if "raised" in ready:
            _kill(process)
            way_out = f"install it again by: pip install 'esprobe[{self.extra}]'"
            raise UserError(f"{self.package} cannot be loaded ({ready['raised']}); {way_out}")
        return process

    def _end(self) -> None:
        if self._process is not None:
            _kill(self._process)
            self._process = None


def _asked(process: subprocess.Popen[bytes], request: list[Any]) -> Any:
    """The process's answer. Raises StoppedError or FailedError where it ends without one."""
    requests, answers = _pipes(process)
    hung = threading.Event()

    def end() -> None:
        hung.set()
        process.kill()

    timer = threading.Timer(HANGS_S, end)
    timer.daemon = True
    timer.start()
    try:
        with suppress(BrokenPipeError):  # it has ended, which its silence says too
            requests.write(json.dumps(request).encode() + b"\n")
            requests.flush()
        line = answers.readline()
    finally:
        timer.cancel()
    if line.endswith(b"\n"):
        return json.loads(line)
    status = process.wait()
    if hung.is_set() or status == -getattr(signal, "SIGPROF", 0):
        raise StoppedError
    raise FailedError(f"its process ended with status {status}")


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in _pipes(process):
        with suppress(BrokenPipeError):
            pipe.close()
