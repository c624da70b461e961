"""A database where nothing can be written is still read, as far as SQLite can; what cannot be done is one clear line."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Run, lacking
from tests.helpers.errors import one_line_error
from tests.helpers.made import honest, make
from tests.helpers.mounts import mount
from tests.helpers.older import REVISIONS, at_revision

NOBODY = 65534
READS = [
    ["report", "--format", "csv"],
    ["report", "--compare"],
    ["runs"],
    ["sql", "select count(*) from rollout_text"],
    ["explore", "--out", "page.html"],
]
ARMS = [("temperature", 0.5, dict.fromkeys(range(4), "+-+-")), ("perturbation", 0.01, dict.fromkeys(range(4), "+--+"))]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A separate disk, which `freeze` makes read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount("-t", "tmpfs", "tmpfs", str(folder)):
        lacking("the right to mount a disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def freeze(folder: Path) -> None:
    assert mount("-o", "remount,ro", str(folder))
    assert not os.access(folder, os.W_OK)


def with_a_log(folder: Path, index: bool) -> None:
    """A database whose log is not empty, as a killed writer leaves it."""
    made = honest(make(folder / "made.db", ARMS))
    with closing(sqlite3.connect(made, isolation_level=None)) as writer:  # an open connection keeps the log
        writer.execute("update model set name = 'renamed'")
        for suffix in ("", "-wal", "-shm") if index else ("", "-wal"):
            shutil.copy(f"{made}{suffix}", folder / f"r.db{suffix}")


@pytest.mark.parametrize("log", [False, True], ids=["", "with a log and its index"])
def test_results_on_a_read_only_disk_are_read_as_anywhere(esprobe: Run, disk: Path, tmp_path: Path, log: bool) -> None:
    if log:
        with_a_log(disk, index=True)
    else:
        honest(make(disk / "r.db", ARMS))
    for file in disk.glob("r.db*"):
        shutil.copy(file, tmp_path)
    freeze(disk)
    for words in READS:
        there, here = esprobe("--db", disk / "r.db", *words), esprobe("--db", tmp_path / "r.db", *words)
        assert there.returncode == 0, there.stderr
        assert there.stdout == here.stdout
    assert ("renamed" in esprobe("--db", disk / "r.db", "report").stdout) == log
    merged = esprobe("--db", "merged.db", "merge", disk / "r.db")
    assert merged.stdout.startswith("32 of 32 rollouts merged")


def test_a_log_that_cannot_be_read_without_writing_is_one_clear_line(esprobe: Run, disk: Path) -> None:
    with_a_log(disk, index=False)
    freeze(disk)
    for words in [*READS, ["merge", disk / "r.db"]]:
        db = "merged.db" if words[0] == "merge" else disk / "r.db"
        says = one_line_error(esprobe("--db", db, *words), 1)
        assert "r.db: its folder cannot be written, which its log needs; copy it and r.db-wal elsewhere" in says


def test_what_has_to_write_is_refused_in_one_line_on_a_read_only_disk(esprobe: Run, disk: Path, tmp_path: Path) -> None:
    make(disk / "r.db", ARMS)
    at_revision(disk / "old.db", REVISIONS[0])
    honest(make(tmp_path / "other.db", ARMS))
    freeze(disk)
    for db, *words in [
        ("r.db", "sample-temp", "--limit", "2", "-n", "1"),
        ("new.db", "sample-temp", "--limit", "2", "-n", "1"),
        ("r.db", "score", "--all"),
        ("r.db", "merge", tmp_path / "other.db"),
        ("old.db", "report"),
    ]:
        assert f"{db}: cannot be written (" in one_line_error(esprobe("--db", disk / db, *words), 1)
    assert "page.html: cannot be written" in one_line_error(
        esprobe("--db", disk / "r.db", "explore", "--out", disk / "page.html"), 1
    )
    assert esprobe("--db", "merged.db", "merge", disk / "old.db").returncode == 0  # upgraded in a copy


@pytest.fixture
def anybodys() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="esprobe-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def as_nobody(*words: object) -> subprocess.CompletedProcess[str]:
    """Runs a command as a user without rights; what it needs is loaded before."""
    if os.geteuid() != 0:
        lacking("root, to become another user")
    code = (
        "import os, sys, esprobe.report.table, esprobe.store.merge; from esprobe.cli.main import main; "
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY}); sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True)


def test_somebody_elses_results_are_read_and_not_changed(anybodys: Path) -> None:
    make(anybodys / "r.db", ARMS)
    before = (anybodys / "r.db").read_bytes()
    shown = as_nobody("--db", anybodys / "r.db", "report", "--format", "csv")
    assert shown.returncode == 0, shown.stderr
    assert "perturbation" in shown.stdout
    assert "cannot be written" in one_line_error(as_nobody("--db", anybodys / "r.db", "score", "--all"), 1)
    os.chmod(anybodys, 0o777)  # now only the file is read-only
    assert as_nobody("--db", anybodys / "r.db", "report", "--format", "csv").stdout == shown.stdout
    os.chmod(anybodys / "r.db", 0o600)
    for words in (["report"], ["sql", "select 1"], ["score"], ["merge", anybodys / "r.db"]):
        refused = as_nobody("--db", anybodys / ("o.db" if words[0] == "merge" else "r.db"), *words)
        assert "r.db' is not readable" in one_line_error(refused, 2)
    assert (anybodys / "r.db").read_bytes() == before
