"""The process behind `killable`: reads calls, a line of JSON each, does them under limits, and writes what they return.

What it runs has been written by strangers or was given their text: it may write no file, start no process and open no connection.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from esprobe.errors import one_line

MOST_MEMORY = 2 << 30  # bytes beyond what the loaded library takes

_REFUSED = (
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.kill", "subprocess.", "pty."),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"),
    *("socket.", "ctypes.", "shutil.", "webbrowser.", "urllib."),
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def main(module_name: str) -> None:
    """Answers calls until its input ends. The first line it writes says that the module is loaded, or why it is not."""
    with os.fdopen(os.dup(1), "wb") as answers, open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)  # what a library prints is no answer
        try:
            module = import_module(module_name)
        except BaseException as error:  # whatever a library does when it is imported
            _say(answers, {"raised": one_line(error)})
            return
        _limit()
        _say(answers, {"returned": None})
        for line in sys.stdin.buffer:
            function, arguments, limit_s = json.loads(line)
            _say(answers, _done(getattr(module, function), arguments, limit_s))


def _done(function: Any, arguments: list[Any], limit_s: float) -> dict[str, Any]:
    """What the call returns or raises; beyond its CPU time the kernel ends the process, wherever it is."""
    timed = hasattr(signal, "setitimer")
    if timed:
        signal.setitimer(signal.ITIMER_PROF, limit_s)
    try:
        returned = {"returned": function(*arguments)}
        json.dumps(returned)
        return returned
    except BaseException as error:  # hostile text may well raise SystemExit
        return {"raised": f"{type(error).__name__}: {one_line(error)}"}
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_PROF, 0)


def _say(answers: IO[bytes], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _limit() -> None:
    """From here on: no files, processes, connections, and MOST_MEMORY at most, as far as the system has such limits."""
    sys.dont_write_bytecode = True
    sys.addaudithook(_refuse)
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: what it raises is raised where the event happened."""
    if event.startswith(_REFUSED) or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING):
        raise PermissionError(f"{event} is refused here")


if __name__ == "__main__":
    main(sys.argv[1])
