"""The database is created and upgraded by the migrations, and a file that is not ours is refused untouched."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from esprobe import schema, tables
from esprobe.engine import make_engine
from esprobe.errors import UserError
from esprobe.reading import open_database, query
from esprobe.store import Store


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_folder()))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_the_migrations_build_exactly_the_tables(tmp_path: Path) -> None:
    Store(tmp_path / "r.db").close()
    with make_engine(tmp_path / "r.db").connect() as connection:
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True}),
            SQLModel.metadata,
        )
    assert differences == []
    assert set(SQLModel.metadata.tables) == {"model", "problem", "arm", "draw", "run", "rollout", "score"}
    assert tables.Score.__table__.primary_key.columns.keys() == ["scorer", "arm_id", "problem_id", "draw"]


def test_a_new_database_is_ours_wal_and_sound(tmp_path: Path) -> None:
    Store(tmp_path / "r.db").close()
    assert schema.inspect(tmp_path / "r.db") == "current"
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        views = {name for (name,) in connection.execute("select name from sqlite_master where type = 'view'")}
    assert views == {"solved", "pass_at_k", "arm_summary", "rollout_text", "draw_accuracy", "cover_at_tau"}


def first_schema(path: Path) -> None:
    """Takes a database back to what revision 0001 left: the same tables and fewer views."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for view in ("draw_accuracy", "cover_at_tau"):
            connection.execute(f"drop view {view}")
        connection.execute("update alembic_version set version_num = '0001'")


def rows_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return {t: connection.execute(f"select * from {t}").fetchall() for t in SQLModel.metadata.tables}


@pytest.mark.parametrize("use", [Store, open_database], ids=["store", "report"])
def test_a_database_of_the_first_schema_is_upgraded_in_place_with_nothing_lost(swept: Path, tmp_path: Path, use: object) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(swept)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
    first_schema(path)
    before = rows_of(path)
    assert len(before["rollout"]) > 100
    assert schema.inspect(path) == "older"
    use(path).close()  # type: ignore[operator]
    assert schema.inspect(path) == "current"
    assert rows_of(path) == before
    assert query(open_database(path), "select count(*) from draw_accuracy")[1] == [(1 + 4 * 6,)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


def test_foreign_keys_are_enforced(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.db")
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("pragma foreign_keys").scalar() == 1


def test_processes_that_create_the_same_database_at_once_all_succeed(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from esprobe.store import Store; Store(Path(sys.argv[1])).close()"
    path = str(tmp_path / "r.db")
    started = [subprocess.Popen([sys.executable, "-c", code, path], stderr=subprocess.PIPE) for _ in range(4)]
    for process in started:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    assert schema.inspect(tmp_path / "r.db") == "current"


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table notes (text)")


def newer(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
        connection.execute("pragma wal_checkpoint(truncate)")


def text(path: Path) -> None:
    path.write_text("these are my notes\n" * 100)


def torn(path: Path) -> None:
    Store(path).close()
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("make", "says"),
    [(foreign, "another program"), (newer, "newer esprobe"), (text, "cannot be read as a database"), (torn, "cannot be read")],
)
def test_a_file_that_is_not_ours_is_refused_untouched(tmp_path: Path, make: object, says: str) -> None:
    path = tmp_path / "r.db"
    make(path)  # type: ignore[operator]
    before = path.read_bytes()
    for use in (Store, open_database):
        with pytest.raises(UserError, match=says):
            use(path)
    assert path.read_bytes() == before


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
