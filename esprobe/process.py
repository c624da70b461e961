"""Which process this is, such that another one can tell later whether it is still there. Knows the operating system only."""

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def identity() -> dict[str, Any]:
    """The machine's name and boot, the process's number and, where the system tells, when it started."""
    return {
        "node": platform.node(),
        "boot": _boot(),
        "numbers": _numbers(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
    }


def is_gone(identity: Mapping[str, Any]) -> bool:
    """Whether a process of this machine has certainly ended; False for one of another machine, or when it cannot be told."""
    pid = identity.get("pid")
    if identity.get("node") != platform.node() or not isinstance(pid, int):
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
        pass  # it is there, and another user's
    return identity.get("started") != _started(pid)  # its number may belong to another process by now


def _boot() -> str | None:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None


def _numbers() -> str | None:
    """Whose process numbers these are: containers have numbers of their own."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return None


def _started(pid: int) -> int | None:
    """In clock ticks since the boot: field 22 of /proc/PID/stat, counted behind the name, which may hold anything."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return None
