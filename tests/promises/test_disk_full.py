"""A full disk stops the work with one clear line; what was written is kept, and with space again the same command goes on."""

import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.errors import UserError
from esprobe.store import schema
from esprobe.store.merge import merge
from esprobe.store.store import Store
from tests.conftest import ESPROBE, Run, lacking
from tests.helpers.errors import one_line_error
from tests.helpers.made import honest, make
from tests.helpers.mounts import mount
from tests.helpers.older import assert_kept_and_current, at_revision, rows_of
from tests.helpers.rollouts import rollouts

SWEEP = ["--quiet", "sample-temp", "-T", "0.7", "-n", "16", "--limit", "24", "--batch-size", "48", "--max-new-tokens", "40"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)):
        lacking("the right to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> None:
    """Leaves so many free bytes."""
    with (folder / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    assert shutil.disk_usage(folder).free == leave


def sound(db: Path) -> None:
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        assert (
            connection.execute("select count(*) from rollout").fetchone()
            == connection.execute("select count(*) from score").fetchone()
        )


def test_a_sweep_that_fills_the_disk_stops_in_one_line_and_continues_with_space(
    esprobe: Run, small: Path, tmp_path: Path
) -> None:
    db = small / "r.db"
    kept_and_why = "the disk is full; what was written before is kept: free some space, and the same command continues"
    assert one_line_error(esprobe("--db", db, *SWEEP), 1) == f"error: {db}: {kept_and_why}"
    kept = rollouts(db)
    assert 48 <= len(kept) < 24 * 17
    assert len(kept) % 24 == 0  # whole units
    sound(db)
    assert "disk is full" in one_line_error(esprobe("--db", db, *SWEEP), 1)
    # Not the same ones: the log keeps its greatest length while a command runs and is given back at its end, so there is room for
    # more in the second. How much depends on when the log was last copied; that nothing is lost or half written does not.
    again = rollouts(db)
    assert kept.items() <= again.items()
    assert len(again) % 24 == 0
    sound(db)
    assert mount("-o", "remount,size=8m", str(small))
    assert esprobe("--db", db, *SWEEP).returncode == 0
    assert esprobe(*SWEEP).returncode == 0
    assert rollouts(db) == rollouts(tmp_path / "esprobe.db")
    sound(db)
    with closing(sqlite3.connect(db)) as connection:
        runs = connection.execute("select state, message like '%disk is full%' from run order by id").fetchall()
    assert runs.pop() == ("done", None)
    assert set(runs) <= {("failed", 1), ("killed", None)}  # the second where its note had no room: the next command found it so


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("the work's own error")], ids=["ctrl-c", "failure"])
def test_a_note_that_finds_no_room_does_not_hide_why_the_work_ended(small: Path, error: BaseException) -> None:
    store = Store(small / "r.db")
    run_id = store.start_run("test", {}, {})
    fill(small)
    with pytest.raises(type(error)) as raised, store.ending(run_id):
        raise error
    assert raised.value is error
    with pytest.raises(UserError, match="the disk is full"):
        store.end_run(run_id, "done")
    store.close()
    with closing(sqlite3.connect(small / "r.db")) as connection:
        assert connection.execute("select state, ended from run").fetchall() == [("running", None)]


@pytest.mark.parametrize("leave", [0, 4096, 20480, 40960, 65536, 98304])
def test_a_database_is_not_begun_by_halves_on_a_full_disk(small: Path, leave: int) -> None:
    fill(small, leave)
    with pytest.raises(UserError, match=r"r\.db: the disk is full"):
        Store(small / "r.db")
    (small / "ballast").unlink()
    Store(small / "r.db").close()
    sound(small / "r.db")


def test_an_upgrade_that_finds_no_room_leaves_the_old_schema(small: Path) -> None:
    db = small / "r.db"
    at_revision(db, "0002")
    before = rows_of(db)
    fill(small, 40960)
    with pytest.raises(UserError, match=r"r\.db: the disk is full"):
        Store(db)
    assert schema.inspect(db) == "older"
    assert rows_of(db) == before
    (small / "ballast").unlink()
    assert mount("-o", "remount,size=8m", str(small))
    Store(db).close()
    assert_kept_and_current(db, before)


def test_a_merge_that_finds_no_room_takes_nothing_in(esprobe: Run, small: Path, tmp_path: Path) -> None:
    honest(make(tmp_path / "other.db", [("temperature", 0.5, dict.fromkeys(range(40), "+-" * 20))]))
    make(small / "r.db", [("greedy", None, {0: "+"})])
    before = rollouts(small / "r.db")
    fill(small, 65536)
    says = one_line_error(esprobe("--db", small / "r.db", "merge", "other.db"), 1)
    assert "r.db: the disk is full; nothing was merged: free some space" in says
    assert rollouts(small / "r.db") == before
    (small / "ballast").unlink()
    assert mount("-o", "remount,size=8m", str(small))
    assert merge(tmp_path / "other.db", small / "r.db").rollouts == 1600


def test_an_older_database_is_merged_only_where_its_copy_finds_room(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_revision(tmp_path / "old.db", "0002")
    fill(small, 40960)
    monkeypatch.setattr(tempfile, "tempdir", str(small))
    with pytest.raises(UserError, match=rf"old\.db: .*the disk of {small}.* is full\); nothing was merged"):
        merge(tmp_path / "old.db", tmp_path / "r.db")
    (small / "ballast").unlink()
    assert mount("-o", "remount,size=8m", str(small))
    assert merge(tmp_path / "old.db", tmp_path / "r.db").rollouts == len(rows_of(tmp_path / "old.db")["rollout"][1])


def test_scoring_a_full_disk_continues_with_space(esprobe: Run, small: Path) -> None:
    db = small / "r.db"
    make(db, [("temperature", 0.5, dict.fromkeys(range(8), "+-" * 20))])
    fill(small, 57344)
    again = ["--db", db, "--quiet", "score", "--scorer", "countdown-published"]
    assert "the disk is full" in one_line_error(esprobe(*again), 1)
    sound(db)
    (small / "ballast").unlink()
    assert esprobe(*again).returncode == 0


def test_what_is_made_of_the_results_finds_no_room(esprobe: Run, swept: Path, small: Path) -> None:
    fill(small, 4096)
    for words, says in [
        (["explore", "--out", small / "page.html"], "page.html: cannot be written (No space left on device)"),
        (["report", "--plots", small / "plots"], "plots: plots cannot be written there (No space left on device)"),
    ]:
        assert says in one_line_error(esprobe("--db", swept, *words), 1)
    assert not (small / "page.html").exists()
    assert not list((small / "plots").glob("*"))


@pytest.mark.parametrize("words", ["report", "report --format json", "runs", "sql 'select * from rollout_text'", "--help"])
def test_output_that_finds_no_room_is_an_error_of_one_line(esprobe: Run, swept: Path, tmp_path: Path, words: str) -> None:
    done = subprocess.run(["sh", "-c", f"{ESPROBE} --db {swept} {words} > /dev/full"], capture_output=True, text=True)
    assert "the disk is full" in one_line_error(done, 1)
