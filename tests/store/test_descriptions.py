"""Every table, view and column is described, in one place, and nothing else is."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from esprobe.store.descriptions import DESCRIPTIONS, describe
from esprobe.store.schema import migrate
from tests.conftest import Run


def schema(db: Path) -> dict[str, list[str]]:
    """Table or view → its columns, but for what SQLite and Alembic keep."""
    with closing(sqlite3.connect(db)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
        kept = [name for name in names if not name.startswith("sqlite_") and name != "alembic_version"]
        return {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in kept}


def test_the_descriptions_are_of_exactly_what_there_is(tmp_path: Path) -> None:
    migrate(tmp_path / "r.db")
    there = schema(tmp_path / "r.db")
    assert set(DESCRIPTIONS) == set(there)
    for table, columns in there.items():
        assert all(describe(table, column) for column in columns)
        assert set(DESCRIPTIONS[table][1]) <= set(columns)


def test_datasette_is_told_what_everything_means(esprobe: Run, swept: Path) -> None:
    shown = esprobe("--db", swept, "datasette-metadata")
    tables = json.loads(shown.stdout)["databases"]["esprobe"]["tables"]
    told = {table: list(told["columns"]) for table, told in tables.items() if "columns" in told}
    assert told == schema(swept)
    assert tables["pass_at_k"]["columns"]["pass_at_k"].startswith("1 − C(n−c, k)")
    assert tables["alembic_version"] == {"hidden": True}
