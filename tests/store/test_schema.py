"""The database is created and upgraded by the migrations, and a file that is not ours is refused untouched."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from esprobe.analysis.reading import open_database, query
from esprobe.errors import UserError
from esprobe.pipeline.meter import Quiet
from esprobe.pipeline.rescore import rescore
from esprobe.store import schema, tables
from esprobe.store.connection import make_engine
from esprobe.store.merge import merge
from esprobe.store.store import Store
from tests.conftest import HANGS_S, Run
from tests.helpers.errors import one_line_error
from tests.helpers.made import honest
from tests.helpers.made import make as fill
from tests.helpers.older import script
from tests.helpers.refused import REFUSED
from tests.helpers.wired import explore, report


def test_head_is_the_newest_migration() -> None:
    assert script().get_heads() == [schema.HEAD]


def test_the_migrations_build_exactly_the_tables(tmp_path: Path) -> None:
    Store(tmp_path / "r.db").close()
    with make_engine(tmp_path / "r.db").connect() as connection:
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True}),
            SQLModel.metadata,
        )
    assert differences == []
    assert set(SQLModel.metadata.tables) == {"model", "problem", "arm", "prompt", "draw", "run", "rollout", "score"}
    assert tables.Score.__table__.primary_key.columns.keys() == ["scorer", "arm_id", "draw", "problem_id"]


def test_a_new_database_is_ours_wal_and_sound(tmp_path: Path) -> None:
    Store(tmp_path / "r.db").close()
    assert schema.inspect(tmp_path / "r.db") == "current"
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        views = {name for (name,) in connection.execute("select name from sqlite_master where type = 'view'")}
    assert views == {
        "solved",
        "pass_at_k",
        "vote_at_k",
        "vote_at_k_by_expression",
        "arm_summary",
        "rollout_text",
        "draw_accuracy",
        "cover_at_tau",
        "training",
    }


def test_foreign_keys_are_enforced(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.db")
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("pragma foreign_keys").scalar() == 1


def test_processes_that_create_the_same_database_at_once_all_succeed(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from esprobe.store.store import Store; Store(Path(sys.argv[1])).close()"
    path = str(tmp_path / "r.db")
    started = [subprocess.Popen([sys.executable, "-c", code, path], stderr=subprocess.PIPE) for _ in range(4)]
    for process in started:
        _, stderr = process.communicate(timeout=HANGS_S)
        assert process.returncode == 0, stderr
    assert schema.inspect(tmp_path / "r.db") == "current"


def test_looking_at_an_open_database_leaves_its_locks(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.db")
    store.start_run("test", {}, {})
    open_database(tmp_path / "r.db").close()
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('select count(*) from run').fetchone(); c.close()"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "r.db")], check=True)
    assert (tmp_path / "r.db-wal").exists()  # that was not the last connection, and knew it
    store.close()
    assert not (tmp_path / "r.db-wal").exists()


def folder_of(path: Path) -> dict[str, bytes | int]:
    """Every file there with its content, or its kind where it is no file."""
    return {p.name: p.read_bytes() if p.is_file() else p.stat().st_mode for p in path.iterdir()}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_what_is_not_ours_is_refused_in_one_line_and_untouched(tmp_path: Path, make: Callable[[Path], None]) -> None:
    there = tmp_path / "there"
    there.mkdir()
    make(there / "r.db")
    Store(tmp_path / "ours.db").close()
    before = folder_of(there), folder_of(tmp_path)
    uses: list[Callable[[Path], object]] = [
        Store,
        open_database,
        lambda path: merge(path, tmp_path / "ours.db"),
        lambda path: merge(tmp_path / "ours.db", path),
        lambda path: explore(path, tmp_path / "page.html"),
    ]
    for use in uses:
        with pytest.raises(UserError, match=REFUSED[make]) as refused:
            use(there / "r.db")
        assert "\n" not in str(refused.value)
        assert (folder_of(there), folder_of(tmp_path)) == before


def test_a_page_of_zeros_in_the_middle_is_one_clear_line_wherever_it_is_met(esprobe: Run, tmp_path: Path) -> None:
    whole, db = tmp_path / "whole.db", tmp_path / "r.db"
    honest(fill(whole, [("temperature", 0.5, dict.fromkeys(range(30), "+-" * 20))]))
    data = whole.read_bytes()
    pages = len(data) // 4096
    told: list[str] = []
    assert pages > 60
    for page in range(1, pages, 5):
        db.write_bytes(data[: page * 4096] + bytes(4096) + data[(page + 1) * 4096 :])
        for use in (
            lambda: report(db, style="csv"),
            lambda: explore(db, tmp_path / "page.html"),
            lambda: merge(db, tmp_path / "merged.db"),
            lambda: rescore(db, "countdown-published", True, Quiet()),
        ):
            try:
                use()
            except UserError as error:
                told.append(str(error))
    assert len(told) > pages // 5
    assert not [line for line in told if not re.search("damaged|cannot be read|malformed", line) or "\n" in line]
    for words in (["report"], ["explore"], ["sql", "select * from rollout_text"]):
        db.write_bytes(data[: 4096 * (pages // 4)] + bytes(4096 * (pages // 2)) + data[4096 * (pages // 4 + pages // 2) :])
        assert re.search("damaged|cannot be read", one_line_error(esprobe(*words, "--db", db), 1))


def test_a_query_can_read_and_cannot_write(swept: Path) -> None:
    connection = open_database(swept)
    assert query(connection, "with t as (select 1 as one) select one from t") == (["one"], [(1,)])
    assert query(connection, "pragma table_info(arm)")[0][1] == "name"
    before = swept.read_bytes()
    for sql in (
        "delete from score",
        "insert into model values (9, 'x', 'y')",
        "drop view solved",
        "create table t (x)",
        "pragma user_version = 7",
        "pragma writable_schema = on",
        f"vacuum into '{swept}.copy'",
        f"attach '{swept}.other' as other",
        "begin immediate",
    ):
        with pytest.raises(UserError, match="only queries are allowed"):
            query(connection, sql)
    for sql in ("select * from nothing", "", "select 1; select 2"):
        with pytest.raises(UserError):
            query(connection, sql)
    assert swept.read_bytes() == before
    assert not list(swept.parent.glob("*.copy")) + list(swept.parent.glob("*.other"))
