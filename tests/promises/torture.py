"""Kills a sweep or a training with SIGKILL, again and again, lets it finish, and compares it with a calm one.

Run it with `make torture`, or `python -m tests.promises.torture sweep --kills 50` (or `training`; `--backend vllm --engines 1`
where vLLM is but not Ray). A victim is the command itself or one of its engines; the moment is random: any since the start, any
once rollouts are being written, or any within a write. A victim is stopped first (SIGSTOP), so that it can be said whether it
held SQLite's write lock at the moment of its death.
"""

import argparse
import fcntl
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests.conftest import ESPROBE, HANGS_S
from tests.helpers.midway import engines_of

PATIENCE_S = HANGS_S

EVERYTHING = {
    "rollouts": """
        SELECT arm.digest, problem.digest, r.draw, r.text, r.tokens, r.finish,
          s.scorer, s.correct, s.reason, s.answer, s.ballot, s.reward, s.expression
        FROM rollout AS r JOIN arm ON arm.id = r.arm_id JOIN problem ON problem.id = r.problem_id
        LEFT JOIN score AS s ON s.arm_id = r.arm_id AND s.problem_id = r.problem_id AND s.draw = r.draw ORDER BY 1, 2, 3""",
    "draws": "SELECT arm.digest, draw.number, draw.seed FROM draw JOIN arm ON arm.id = draw.arm_id ORDER BY 1, 2",
    "arms": "SELECT arm.digest, model.digest, method, value, settings FROM arm JOIN model ON model.id = model_id ORDER BY 1",
    "problems": "SELECT digest, task, payload, solvable, solution, chance FROM problem ORDER BY 1",
    "models": "SELECT digest, name, updates FROM model ORDER BY 1",
}


@dataclass(frozen=True)
class Work:
    """What is disturbed. It grows by `step` draws or iterations whenever it finishes before there were enough kills."""

    words: tuple[str, ...]
    growing: str
    step: int
    backend: str = "transformers"

    def command(self, db: Path, size: int, engines: int) -> list[str]:
        """So much of the work on so many engines."""
        options = [self.growing, str(size), "--engines", str(engines), "--backend", self.backend]
        return [str(ESPROBE), "--db", str(db), "--quiet", *self.words, *options]


WORKS = {
    "sweep": Work(("sample-perturb", "--sigma", "0.01,0.02", "--limit", "32", "--batch-size", "16"), "-n", 32),
    "training": Work(
        ("train", "--population", "8", "--problems-per-iteration", "16", "--limit", "48", "--sigma", "0.02"), "--iterations", 8
    ),
}


def count(db: Path) -> int:
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, timeout=30)) as connection,
    ):
        return int(connection.execute("SELECT count(*) FROM rollout").fetchone()[0])
    return 0


def writer_of(db: Path) -> int | None:
    """The process that is within a write: the holder of byte 120 of the -shm file, which is SQLite's WAL write lock."""
    with suppress(FileNotFoundError), open(f"{db}-shm", "rb") as file:
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 120, 1, 0)
        kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))
        return pid if kind != fcntl.F_UNLCK else None
    return None


def half_written(db: Path) -> bool:
    """Whether the write-ahead log ends in frames that belong to no committed transaction."""
    wal = Path(f"{db}-wal").read_bytes() if Path(f"{db}-wal").exists() else b""
    if len(wal) < 32:
        return False
    page, salts = int.from_bytes(wal[8:12], "big"), wal[16:24]
    last_commit = last = -1
    for number, start in enumerate(range(32, len(wal) - 24 - page + 1, 24 + page)):
        if wal[start + 8 : start + 16] != salts:
            break  # of an earlier round through the log
        last = number
        if int.from_bytes(wal[start + 4 : start + 8], "big"):
            last_commit = number
    return last > last_commit


def check_a_copy(db: Path) -> None:
    """What is on the disk at this moment is sound, and as many scores as rollouts are in it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / db.name
        for end in ("", "-wal"):
            if Path(f"{db}{end}").exists():
                shutil.copy(f"{db}{end}", f"{copy}{end}")
        with closing(sqlite3.connect(copy)) as connection:
            sound(connection)
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rollout'").fetchone():
                rollouts, scores = connection.execute(
                    "SELECT (SELECT count(*) FROM rollout), (SELECT count(*) FROM score)"
                ).fetchone()
                assert rollouts == scores


def sound(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def compare(db: Path, calm: Path) -> None:
    """Asserts that the two databases hold the same rows, whatever order they were written in, and are sound."""
    with closing(sqlite3.connect(db)) as one, closing(sqlite3.connect(calm)) as other:
        for what, sql in EVERYTHING.items():
            assert one.execute(sql).fetchall() == other.execute(sql).fetchall(), f"{what} differ"
        sound(one)
        sound(other)


class Torture:
    """Kills, and counts what it killed."""

    def __init__(self, db: Path, work: Work, running: int, seed: int) -> None:
        """`running`: so many engines at a time."""
        self.db, self.work, self.running, self.rng = db, work, running, random.Random(seed)
        self.commands = self.engines = self.hits = self.torn = 0

    @property
    def kills(self) -> int:
        return self.commands + self.engines

    def life(self, size: int) -> bool:
        """Starts the command and kills some of its engines, then itself; whether it finished before that."""
        process = subprocess.Popen(self.work.command(self.db, size, self.running), stderr=subprocess.PIPE, text=True)
        rng = self.rng
        if rng.random() < 0.2:
            self.wait(process, lambda: False, rng.uniform(0, 8))  # while it starts, perhaps
        else:
            for _ in range(rng.choice([0, 1, 2])):
                self.wait_for_rollouts(process)
                time.sleep(rng.uniform(0, 1))
                self.kill_an_engine(process)
            self.wait_for_rollouts(process)
            if rng.random() < 0.5:
                self.wait(process, lambda: writer_of(self.db) == process.pid, PATIENCE_S, pause=0)
                time.sleep(rng.uniform(0, 0.003))
            else:
                time.sleep(rng.uniform(0, 1))
        if process.poll() is None:
            self.kill_the_command(process.pid)
        _, errors = process.communicate(timeout=PATIENCE_S)
        if process.returncode not in (0, -signal.SIGKILL):
            sys.exit(f"the command failed by itself: {errors}")
        return process.returncode == 0

    def wait_for_rollouts(self, process: "subprocess.Popen[str]") -> None:
        before = count(self.db)
        self.wait(process, lambda: count(self.db) > before, PATIENCE_S)

    def wait(self, process: "subprocess.Popen[str]", enough: Callable[[], bool], seconds: float, pause: float = 0.005) -> None:
        limit = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < limit and not enough():
            time.sleep(pause)

    def kill_an_engine(self, process: "subprocess.Popen[str]") -> None:
        with suppress(OSError):  # gone in between
            if engines := engines_of(process.pid):
                os.kill(self.rng.choice(engines), signal.SIGKILL)
                self.engines += 1

    def kill_the_command(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TtZ":
            time.sleep(0.0005)
        self.hits += writer_of(self.db) == pid
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self.torn += half_written(self.db)
        self.commands += 1
        check_a_copy(self.db)


def main() -> None:
    """Prints how many kills there were, how many of them hit a write, and what was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--backend", default="transformers")
    parser.add_argument("--engines", type=int, default=2)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    begun, work = time.monotonic(), replace(WORKS[options.work], backend=options.backend)
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        db, calm, size = Path(name) / "killed.db", Path(name) / "calm.db", work.step
        torture = Torture(db, work, options.engines, options.seed)
        while torture.kills < options.kills or (not torture.hits and torture.kills < 2 * options.kills):
            if torture.life(size):
                size += work.step
            print(
                f"{torture.kills} kills, {torture.hits} within a write; {count(db):,} rollouts, {time.monotonic() - begun:.0f} s",
                flush=True,
            )
        subprocess.run(work.command(db, size, options.engines), check=True)
        subprocess.run(work.command(calm, size, 1), check=True)
        compare(db, calm)
        with closing(sqlite3.connect(db)) as connection:
            states = Counter(state for (state,) in connection.execute("SELECT state FROM run"))
            [models] = connection.execute("SELECT count(*) FROM model").fetchone()
        print(f"runs: {dict(states)}")
        print(
            f"{torture.kills} kill -9 ({torture.commands} of the command, {torture.engines} of an engine): {torture.hits} hit a "
            f"write, {torture.torn} left one half written; {count(db):,} rollouts and {models} models equal to an undisturbed "
            "run's, row for row: lost 0, doubled 0"
        )
        if not torture.hits:
            sys.exit("no kill hit a write; try another --seed")


if __name__ == "__main__":
    main()
