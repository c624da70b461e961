"""A writer waits for a lock as long as it takes, notices when its file is gone, and leaves nearly everything in the file."""

import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from esprobe.arms import Arm
from esprobe.errors import UserError
from esprobe.store import connection as connections
from esprobe.store import database
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.countdown.task import Countdown
from tests.conftest import HANGS_S, Run
from tests.helpers.errors import one_line_error

TASK = Countdown()
WAITING = "another process holds the write lock; waiting until it is free"
# the command, but impatient
IMPATIENT = (
    "import sys; from esprobe.store import connection as engine; engine.SAY_AFTER_S = engine.GRACE_S = 0.1; "
    "from esprobe.cli.main import main; sys.exit(main())"
)


class Writing:
    """A store with one problem; `save` writes the next draw of an arm."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.problem = TASK.bundled()[0]
        self.store.add_problems([(self.problem, TASK.facts(self.problem))])
        self.ids = self.store.problem_ids([self.problem])
        self.run = self.store.start_run("test", {}, {})
        self.draws = 0

    def save(self, value: float = 0.5) -> int:
        text = f"<answer>{self.draws}</answer>"
        row = RolloutRow(self.draws, self.ids[0], text, 3, "stop", TASK.scorers["countdown"](self.problem.payload, text))
        self.draws += 1
        return self.store.save(self.store.arm_id(Arm("m", "d", "temperature", value)), self.run, "countdown", [row])


def rollouts(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM rollout").fetchone()[0])


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """The write lock is taken, as by a long merge or by a shell left open within a transaction."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_writer_waits_for_a_lock_as_long_as_it_is_held_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "SAY_AFTER_S", 0.0)
    said = threading.Event()

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.set()

    writing = Writing(tmp_path / "r.db")
    logging.getLogger("esprobe").addHandler(handler := Heard())
    for _ in range(2):
        with locked(tmp_path / "r.db"):
            thread = threading.Thread(target=writing.save)
            thread.start()
            assert said.wait(HANGS_S)
            assert len(writing.store.unknown_problems([writing.problem])) == 0  # reading waits for no writer
            assert thread.is_alive()
        thread.join(HANGS_S)
    logging.getLogger("esprobe").removeHandler(handler)
    assert rollouts(tmp_path / "r.db") == 2
    assert [WAITING in message for message in caplog.messages] == [True]


def interrupted_at_a_lock(db: Path, *words: str) -> tuple[int, str]:
    """Starts a command, takes the lock once it has written, and sends Ctrl-C when the command says that it waits."""
    command = [sys.executable, "-c", IMPATIENT, "--db", str(db), *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        while process.poll() is None:
            try:
                if rollouts(db):
                    break
            except sqlite3.OperationalError:
                pass  # there is no such table yet
        with locked(db):
            said = ""
            while WAITING not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=HANGS_S)
    finally:
        process.kill()
    return process.returncode, rest


def test_ctrl_c_ends_a_sweep_that_waits_for_a_lock_and_what_was_written_stays(esprobe: Run, tmp_path: Path) -> None:
    sweep = ["sample-temp", "-T", "0.6", "--limit", "4", "--batch-size", "4", "--max-new-tokens", "4", "-n"]
    status, said = interrupted_at_a_lock(tmp_path / "r.db", *sweep, "100000")
    assert status == 130
    assert said.splitlines()[-1].startswith("error: interrupted; what was finished is kept")
    assert "Traceback" not in said
    before = rollouts(tmp_path / "r.db")
    assert before
    done = esprobe("--db", "r.db", "--quiet", *sweep, "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert rollouts(tmp_path / "r.db") >= before


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_database_that_is_gone_from_its_path_is_a_clear_error_and_not_written_elsewhere(tmp_path: Path, how: str) -> None:
    db, elsewhere = tmp_path / "r.db", tmp_path / "elsewhere.db"
    writing = Writing(db)
    writing.save()
    if how == "replaced":
        Store(tmp_path / "another.db").close()
    if how == "removed":
        db.unlink()
    else:
        db.rename(elsewhere)
    if how == "replaced":
        (tmp_path / "another.db").rename(db)
    before = sorted(path.name for path in tmp_path.iterdir())
    for _ in range(2):
        with pytest.raises(UserError, match=r"r\.db: was moved, replaced or removed .*put it back next to r\.db-wal"):
            writing.save()
    with pytest.raises(UserError, match="was moved"), writing.store.ending(writing.run):
        pass
    writing.store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    if how == "moved":
        elsewhere.rename(db)
        again = Store(db)
        assert rollouts(db) == 1
        again.close()


def copied_alone(db: Path) -> int:
    """The rollouts in a copy of the file without its log."""
    copy = db.with_name("copy.db")
    copy.unlink(missing_ok=True)
    shutil.copy(db, copy)
    try:
        return rollouts(copy)
    except sqlite3.OperationalError:  # not even its tables
        return 0
    finally:
        for end in ("-wal", "-shm"):
            copy.with_name(f"{copy.name}{end}").unlink(missing_ok=True)


def test_a_copy_of_the_file_alone_holds_every_arm_that_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CHECKPOINT_SHARE", 1e-12)  # no time for it
    monkeypatch.setattr(database, "CHECKPOINT_EVERY_S", 1e6)
    writing = Writing(tmp_path / "r.db")
    for _ in range(3):
        writing.save(0.5)
    assert copied_alone(tmp_path / "r.db") == 1
    writing.save(0.6)
    assert copied_alone(tmp_path / "r.db") >= 3
    with closing(sqlite3.connect(tmp_path / "r.db")) as other:  # a process that has it open keeps the log
        other.execute("SELECT count(*) FROM rollout").fetchone()
        writing.store.close()
        assert copied_alone(tmp_path / "r.db") == 4


def test_a_copy_of_the_file_alone_holds_what_there_was_time_to_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing = Writing(tmp_path / "r.db")
    monkeypatch.setattr(database, "CHECKPOINT_EVERY_S", 0.0)
    for count in (1, 2, 3):
        writing.save()
        assert copied_alone(tmp_path / "r.db") == count


def test_a_failing_copy_of_the_log_stops_no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing = Writing(tmp_path / "r.db")
    monkeypatch.setattr(database, "CHECKPOINT_EVERY_S", 0.0)
    with closing(sqlite3.connect(tmp_path / "r.db", isolation_level=None)) as other:  # a reader of an old moment
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM rollout").fetchone()
        assert [writing.save() for _ in range(3)] == [1, 1, 1]
        other.execute("COMMIT")


def test_a_database_with_several_names_is_refused(esprobe: Run, tmp_path: Path) -> None:
    Writing(tmp_path / "r.db").store.close()
    Writing(tmp_path / "other.db").store.close()
    os.link(tmp_path / "r.db", tmp_path / "too.db")
    (tmp_path / "one.jsonl").write_text('{"numbers": [1, 2], "target": 3, "draw": 0, "text": "x"}')
    for words in (["import", "one.jsonl"], ["report"], ["merge", "other.db"]):
        for name in ("r.db", "too.db"):
            says = one_line_error(esprobe("--db", name, *words), 1)
            assert f"{name}: has 2 names (hard links)" in says
            assert "use a copy" in says
    (tmp_path / "too.db").unlink()
    assert esprobe("--db", "r.db", "import", "one.jsonl").returncode == 0
