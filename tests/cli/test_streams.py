"""Whatever becomes of standard error, the work is done and the exit status is the work's."""

import fcntl
import os
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.conftest import ESPROBE, HANGS_S

SWEEP = ["sample-temp", "-T", "0.6", "-T", "0.9", "-n", "3", "--limit", "4", "--max-new-tokens", "8", "--batch-size", "4"]
WANTED = 4 * 7
MISSING = ["--db", "no/such/folder/x.db", *SWEEP]


def unread_pipe() -> int:
    """The writing end of a pipe whose reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def full_pipe(waits: bool) -> int:
    """The writing end of a full pipe whose reader is there but does not read."""
    _, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 512)
    if waits:
        fcntl.fcntl(writing, fcntl.F_SETFL, 0)
    return writing


STANDARD_ERRORS = {
    "reader left": unread_pipe,
    "full and waiting": lambda: full_pipe(True),
    "full and not waiting": lambda: full_pipe(False),
    "full disk": lambda: os.open("/dev/full", os.O_WRONLY),
    "read-only": lambda: os.open("/dev/null", os.O_RDONLY),
}


def run(args: list[str], folder: Path, stderr: int | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The command with a standard error of ours; closed where it is None."""
    words = [str(ESPROBE), *args]
    if stderr is None:
        words, stderr = ["sh", "-c", '"$@" 2>&-', "sh", *words], subprocess.DEVNULL
    settings = os.environ | {"HF_HUB_OFFLINE": "1"} | environment
    return subprocess.run(words, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=HANGS_S)


def done(db: Path) -> tuple[int, list[str]]:
    with closing(sqlite3.connect(db)) as connection:
        states = [state for (state,) in connection.execute("select state from run")]
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        return int(connection.execute("select count(*) from rollout").fetchone()[0]), states


@pytest.mark.parametrize("kind", [*STANDARD_ERRORS, "closed"])
def test_a_sweep_goes_on_whatever_becomes_of_its_progress(tmp_path: Path, kind: str) -> None:
    stderr = STANDARD_ERRORS[kind]() if kind != "closed" else None
    finished = run(SWEEP, tmp_path, stderr)
    assert finished.returncode == 0
    assert finished.stdout.startswith(f"{WANTED} of {WANTED} rollouts generated")
    assert done(tmp_path / "esprobe.db") == (WANTED, ["done"])
    failed = run(MISSING, tmp_path, STANDARD_ERRORS[kind]() if kind != "closed" else None)
    assert failed.returncode == 1  # whether or not the reason can be read


def test_a_reader_that_leaves_in_mid_sweep_stops_nothing(tmp_path: Path) -> None:
    words = '( "$@"; echo $? >status ) 2>&1 | head -n 1'
    whole = ["sh", "-c", words, "sh", str(ESPROBE), *SWEEP]
    subprocess.run(whole, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL, timeout=HANGS_S)
    assert (tmp_path / "status").read_text() == "0\n"
    assert done(tmp_path / "esprobe.db") == (WANTED, ["done"])


def test_progress_in_letters_that_the_terminal_lacks_is_written_with_those_it_has(tmp_path: Path) -> None:
    finished = run(["--db", "σ.db", *SWEEP, "--data", "‰"], tmp_path, subprocess.PIPE, PYTHONIOENCODING="ascii")
    assert finished.returncode == 1
    assert "\\u2030" in finished.stderr


def test_results_that_nobody_reads_are_no_error(tmp_path: Path) -> None:
    assert run(["--quiet", *SWEEP], tmp_path, subprocess.DEVNULL).returncode == 0
    for command in (["report"], ["runs"], ["sql", "select * from rollout_text"]):
        words = [str(ESPROBE), *command]
        ended = subprocess.run(words, cwd=tmp_path, stdout=unread_pipe(), stderr=subprocess.PIPE, text=True, timeout=HANGS_S)
        assert (ended.returncode, ended.stderr) == (0, ""), command
