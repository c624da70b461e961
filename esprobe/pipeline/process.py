"""Which process this is, so that another one can find out later whether it still runs. Knows the operating system only."""

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def identity() -> dict[str, Any]:
    """The machine's name and boot, the process's number and, where the system has it, its start."""
    return {
        "node": platform.node(),
        "boot": _boot(),
        "numbers": _numbers(),
        "pid": os.getpid(),
        "started": _stat(os.getpid())[1],
    }


def is_gone(identity: Mapping[str, Any]) -> bool:
    """Whether a process of this machine has certainly ended; False for one of another machine, or where that is unknown."""
    pid = identity.get("pid")
    if identity.get("node") != platform.node() or type(pid) is not int or not 0 < pid < 1 << 31 or os.name != "posix":
        return False
    if identity.get("boot") != _boot():
        return True
    if identity.get("numbers") != _numbers():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it runs, as another user
    state, started = _stat(pid)
    # Z has ended and waits for its parent; and the number may belong to another process by now
    return state == "Z" or (started is not None and started != identity.get("started"))


def _boot() -> str | None:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None


def _numbers() -> str | None:
    """The namespace of process numbers: containers have separate ones."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return None


def _stat(pid: int) -> tuple[str | None, int | None]:
    """The state, and the start in clock ticks since the boot: fields 3 and 22 of /proc/PID/stat, counted behind the name."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], int(fields[19])
    return None, None
