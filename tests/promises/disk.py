"""What a power cut can leave of a folder: records a process's writes with strace and replays them, whole or partly lost.

Knows files, directory entries and syncs, not SQLite. Shared memory (`-shm`) is no file on a disk and is left out.
"""

import os
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.conftest import HANGS_S

SECTOR = 512  # the least that a disk writes or does not write
_CALLS = "openat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,fdatasync,sync,unlink,unlinkat,mmap"
_RENAMES = "rename,renameat,renameat2,link,linkat,copy_file_range,sendfile"
_SHARED = "".join(f"\\x{byte:02x}" for byte in b"-shm")
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\w+)")
_HEX = re.compile(r"(?:\\x[0-9a-f]{2})+")


@dataclass(frozen=True)
class Op:
    """One call that changed or synced the folder, or what the process said in between (`said`)."""

    kind: Literal["create", "write", "truncate", "sync", "unlink", "said"]
    name: str  # in the folder; "" is the folder itself
    offset: int = 0
    data: bytes = b""


def record(command: Sequence[str], folder: Path) -> list[Op]:
    """Runs the command, which must succeed, and returns all that it did to the files in `folder`, in order."""
    log = folder.with_name(f"{folder.name}.strace")
    traced = ["strace", "-f", "--seccomp-bpf", "-y", "-xx", "-s", "99999999", "-e", f"trace={_CALLS},{_RENAMES}", "-o", str(log)]
    done = subprocess.run([*traced, *command], capture_output=True, text=True, timeout=HANGS_S)
    assert done.returncode == 0, done.stderr
    with log.open(encoding="ascii") as lines:
        found = list(_ops(lines, str(folder.resolve()).encode()))
    log.unlink()
    return found


def _whole(lines: Iterator[str], folder: str) -> Iterator[str]:
    """Calls that another thread cut in two, put together where they end; of those that change the folder there is one at a time.

    Another thread may open the database to read while one writes: that opens and maps what is there, and changes nothing.
    """

    def changes(line: str) -> bool:
        return folder in line and _SHARED not in line and not re.match(r"(?:\d+ +)?(?:openat|mmap)\(", line)

    begun: dict[str, str] = {}  # by thread
    for line in lines:
        thread, _, rest = line.partition(" ")
        assert not changes(line) or not any(map(changes, begun.values())), "two threads write at once"
        if line.rstrip().endswith("<unfinished ...>"):
            begun[thread] = line.rstrip().removesuffix("<unfinished ...>")
        elif resumed := re.match(r" *<\.\.\. \w+ resumed>", rest):
            yield begun.pop(thread).rstrip() + rest[resumed.end() :]
        else:
            yield line


def _ops(lines: Iterator[str], folder: bytes) -> Iterator[Op]:
    known: set[bytes] = set()
    prefix = "".join(f"\\x{byte:02x}" for byte in folder)
    for line in _whole(lines, prefix):
        match = _LINE.match(line)
        if match is None or match[3].startswith("-"):
            continue
        call, result = match[1], match[3]
        if call == "write" and match[2].startswith("2<"):
            continue  # what is told on stderr may name the file
        if prefix not in line and not (call == "write" and match[2].startswith("1<")):
            continue
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in _HEX.findall(match[2])]
        if call == "write" and match[2].startswith("1<"):
            yield Op("said", "", data=texts[-1])
            continue
        numbers = [int(word) for word in match[2].rsplit('"', 1)[-1].split(", ") if word.lstrip("-").isdigit()]
        path = next(text for text in (texts[1:] if call == "openat" else texts) if text.startswith(folder))
        name = path[len(folder) + 1 :].decode()
        if name.endswith("-shm"):
            continue
        if call == "openat":
            if "O_CREAT" in line and path not in known:
                known.add(path)
                yield Op("create", name)
            assert "O_TRUNC" not in line
        elif call == "pwrite64":
            assert int(result) == numbers[0] == len(texts[-1])
            yield Op("write", name, numbers[1], texts[-1])
        elif call == "ftruncate":
            yield Op("truncate", name, numbers[0])
        elif call in ("fsync", "fdatasync"):
            yield Op("sync", name)
        elif call == "unlink":
            known.discard(path)
            yield Op("unlink", name)
        else:
            assert call == "mmap", f"no idea what {call} does to a disk"
            assert "MAP_SHARED" not in line


@dataclass
class _File:
    synced: bytearray = field(default_factory=bytearray)
    pending: list[Op] = field(default_factory=list)


class Disk:
    """The folder on its disk: what was synced and stays, and what was written since and may be lost."""

    def __init__(self) -> None:
        self.entries: dict[str, _File] = {}
        self.pending: list[Op] = []  # directory entries made and removed since the folder was synced
        self.now: dict[str, _File] = {}

    def apply(self, op: Op) -> None:
        if op.kind in ("create", "unlink"):
            self.pending.append(op)
            if op.kind == "create":
                self.now[op.name] = _File()
            else:
                del self.now[op.name]
        elif op.kind == "sync" and op.name == "":
            self.entries, self.pending = dict(self.now), []
        elif op.kind == "sync":
            file = self.now[op.name]
            for waiting in file.pending:
                _apply(file.synced, waiting)
            file.pending = []
        elif op.kind != "said":
            self.now[op.name].pending.append(op)

    @property
    def unsynced(self) -> int:
        """Writes that a power cut may still undo."""
        return sum(len(file.pending) for file in self.now.values())

    def cut(self, rng: random.Random, folder: Path) -> int:
        """Writes into the empty `folder` what a power cut may leave; returns how many writes were lost or torn.

        Of the writes since a file's last sync any may be missing, whole or by sectors; directory entries change in order.
        """
        lost = 0
        left = self.now if not self.pending or rng.random() < 0.5 else self.entries
        keep = rng.choice([0.0, 0.3, 0.7, 0.95])
        for name, file in left.items():
            content = bytearray(file.synced)
            for op in file.pending:
                chance = rng.random()
                if chance < keep:
                    _apply(content, op)
                    continue
                lost += 1
                if op.kind == "write" and chance < keep + (1 - keep) / 2:
                    for start, end in _sectors(op.offset, len(op.data)):
                        if rng.random() < 0.5:
                            _apply(content, Op("write", name, op.offset + start, op.data[start:end]))
            (folder / name).write_bytes(content)
        return lost


def perform(op: Op, folder: Path) -> None:
    """Does to the folder what the recorded call did."""
    path = folder / op.name
    if op.kind == "create":
        path.touch()
    elif op.kind == "unlink":
        path.unlink()
    elif op.kind == "truncate":
        os.truncate(path, op.offset)
    elif op.kind == "write":
        with path.open("r+b") as file:
            file.seek(op.offset)
            file.write(op.data)


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del content[op.offset :]
    else:
        content.extend(bytes(max(0, op.offset + len(op.data) - len(content))))
        content[op.offset : op.offset + len(op.data)] = op.data


def _sectors(offset: int, length: int) -> Iterator[tuple[int, int]]:
    """The parts of a write that lie in one sector each."""
    start = 0
    while start < length:
        end = min(length, start + SECTOR - (offset + start) % SECTOR)
        yield start, end
        start = end
