"""Catches a process in the middle of its work, however fast it or the machine is.

Knows processes and the number of rows in a database, nothing of what a sweep is.
"""

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.conftest import HANGS_S


def wait_until(process: "subprocess.Popen[str]", enough: Callable[[], bool]) -> None:
    """Returns as soon as it is so; fails if the process ends before."""
    limit = time.monotonic() + HANGS_S
    while not enough():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < limit, "it hangs"
        time.sleep(0.02)


def count(db: Path, table: str = "rollout") -> int:
    """Rows of a table; 0 while there is none."""
    if not db.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            return int(connection.execute(f"select count(*) from {table}").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # its first migration is not finished


@contextmanager
def caught(process: "subprocess.Popen[str]", db: Path, after: int) -> Iterator[None]:
    """Waits for that many rollouts, then keeps the write lock, so that inside the block no more of them are written."""
    wait_until(process, lambda: count(db) >= after)
    with closing(sqlite3.connect(db, timeout=HANGS_S, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        yield
        lock.execute("ROLLBACK")


def descendants(pid: int) -> dict[int, str]:
    """Process id → command line of everything that the process has started, and what that has started."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            names[int(folder.name)] = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:
            continue  # it ended in between
    found: dict[int, str] = {}
    new = {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - set(found)
        found |= {child: names[child] for child in new}
    return found


def engines_of(pid: int) -> list[int]:
    """The process ids of the engines, on Ray or vLLM's, that the process has started; other sweeps' are none of them."""
    return [child for child, name in descendants(pid).items() if name.startswith(("ray::Remote", "VLLM::EngineCore"))]


def wait_until_gone(pids: set[int]) -> None:
    limit = time.monotonic() + HANGS_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def has_open(pid: int, path: Path) -> bool:
    """Whether a process has the file open."""
    names = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            names.add(link.readlink())
        except OSError:
            continue  # closed in between
    return path.resolve() in names
