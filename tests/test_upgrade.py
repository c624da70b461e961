"""An older database is brought up to date with nothing lost, whatever it holds, and whenever the upgrade is killed."""

import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from esprobe import schema
from esprobe.reading import open_database
from esprobe.store import Store
from tests.conftest import Run, needs
from tests.disk import perform, record
from tests.older import REVISIONS, ROWS, assert_kept_and_current, at_revision, rows_of, with_reward
from tests.test_cli import one_line_error


@pytest.mark.parametrize("use", [Store, open_database], ids=["store", "report"])
@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_database_of_any_older_schema_is_upgraded_in_place_with_nothing_lost(tmp_path: Path, revision: str, use: Any) -> None:
    path = tmp_path / "old.db"
    at_revision(path, revision)
    before = rows_of(path)
    assert all(len(rows) == ROWS for _, rows in before.values())
    assert schema.inspect(path) == "older"
    use(path).close()
    assert_kept_and_current(path, before)


@pytest.mark.parametrize("revision", [None, *REVISIONS[:-1]])
def test_a_migration_killed_at_any_moment_leaves_the_old_schema_or_the_new_and_is_done_again(
    tmp_path: Path, revision: str | None
) -> None:
    needs("strace", "true")
    made = tmp_path / "made"
    made.mkdir()
    if revision is not None:
        at_revision(made / "r.db", revision)
    before = rows_of(made / "r.db") if revision else {}
    now = Path(shutil.copytree(made, tmp_path / "now"))
    code = "import sys; from pathlib import Path; from esprobe.schema import migrate; migrate(Path(sys.argv[1]))"
    ops = record([sys.executable, "-c", code, str(made / "r.db")], made)
    old = "new" if revision is None else "older"
    seen = []
    for i, op in enumerate(ops):
        if op.kind in ("said", "sync"):
            continue
        perform(op, now)
        state = schema.inspect(now / "r.db")
        assert state in (old, "current")
        seen.append(state)
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            copy = Path(shutil.copytree(now, folder, dirs_exist_ok=True)) / "r.db"
            if state == old and revision is not None:
                assert rows_of(copy) == before
            if i % 5 == 0:
                Store(copy).close()
                assert schema.inspect(copy) == "current"
                if revision is not None:
                    assert_kept_and_current(copy, before)
    assert seen == sorted(seen, key=[old, "current"].index)
    assert set(seen) == {old, "current"}
    assert len(seen) > 10


def test_an_upgrade_keeps_rows_that_refer_to_nothing_and_what_the_user_added(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    at_revision(path, "0002")
    own = {
        "marked": "CREATE TABLE marked (rollout_id REFERENCES rollout (id) ON DELETE CASCADE, mark, why)",
        'by "answer"': 'CREATE INDEX "by ""answer""" ON score (answer)',
        "unmarked": "CREATE TRIGGER unmarked AFTER DELETE ON score BEGIN DELETE FROM marked WHERE why = old.reason; END",
        "noticed": "CREATE TRIGGER noticed AFTER INSERT ON marked BEGIN UPDATE score SET reason = reason; END",
    }
    with closing(sqlite3.connect(path)) as connection, connection:  # where foreign keys are not enforced, as in SQLite's shell
        for sql in own.values():
            connection.execute(sql)
        connection.execute("insert into marked values (1, 2, 'reason 1 ‘σ’')")
        connection.execute("delete from rollout where id = 2")
        connection.execute("delete from draw where number = 14")
        connection.execute("delete from problem where id = 3")
    before = rows_of(path)
    schema.migrate(path)
    after = rows_of(path)
    with closing(sqlite3.connect(path)) as connection:
        before["score"] = with_reward(*before["score"])
        for table, (columns, rows) in before.items():
            assert sorted(connection.execute(f"select {', '.join(columns)} from {table}")) == sorted(rows), table
        assert dict(connection.execute("select name, sql from sqlite_master where name in (?, ?, ?, ?)", [*own])) == own
    assert len(after["score"][1]) == ROWS
    assert len(after["rollout"][1]) == ROWS - 1


def test_an_upgrade_is_told_once_and_not_when_quiet(esprobe: Run, tmp_path: Path) -> None:
    for name in ("loud.db", "quiet.db"):
        at_revision(tmp_path / name, "0001")
    told = f"{tmp_path / 'loud.db'}: was written by an older esprobe; upgrading it, once\n"
    for stderr in (told, ""):
        assert esprobe("--db", tmp_path / "loud.db", "runs").stderr == stderr
    assert esprobe("--db", tmp_path / "quiet.db", "--quiet", "runs").stderr == ""


def test_an_older_file_is_merged_and_stays_as_it_is(esprobe: Run, tmp_path: Path) -> None:
    at_revision(tmp_path / "old.db", "0001")
    before = (tmp_path / "old.db").read_bytes()
    done = esprobe("merge", "old.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{ROWS} of {ROWS} rollouts merged")
    assert (tmp_path / "old.db").read_bytes() == before
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
        connection.execute("delete from rollout where id = 2")
    assert one_line_error(esprobe("merge", "old.db"), 1) == (
        "error: old.db: cannot be merged (table score holds 1 row that esprobe would not have written); nothing was taken in"
    )
