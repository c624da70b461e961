"""The views give the same in SQLite 3.31, the oldest that is promised, and in DuckDB, whose grammar and types differ."""

import importlib.util
import json
import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from esprobe.pipeline.meter import Quiet
from esprobe.pipeline.rescore import rescore
from esprobe.store import schema
from esprobe.tasks.base import Facts
from tests.conftest import ESPROBE, lacking
from tests.helpers.made import make
from tests.helpers.older import REVISIONS, at_revision

OLD_SQLITE = Path(os.environ.get("ESPROBE_OLD_SQLITE", Path(sys.prefix) / "old-sqlite"))
VIEWS = sorted(schema.view_statements())
FACTS = [Facts(True, "1 + 7", 0.125, "3 numbers", 68), Facts(False, None, 0.0, "3 numbers", 60), Facts(None, None, None)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arms of every method, uneven depths, gaps, two scorers, problems of every kind of facts; one file without a log."""
    path = tmp_path_factory.mktemp("results") / "r.db"
    shallow = {0: "+-", 1: "-", 2: "++-+-"}
    deep = {0: "+-" * 9, 1: "-" * 18, 2: "--+" * 6}
    make(
        path,
        [("greedy", None, dict.fromkeys(range(3), "+")), ("temperature", 0.5, shallow), ("perturbation", 0.01, deep)],
        facts=FACTS,
    )
    rescore(path, "countdown-published", True, Quiet())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("delete from score where arm_id = 3 and draw in (3, 4, 11)")
        columns = "digest, name, parent_id, updates, arm_id"
        trained = f"insert into model ({columns}) select ?, ?, id, '{{{{}}}}', ? from model where name {{}}"
        connection.execute(trained.format("not like 'es@%'"), ("first", "es@1", 3))
        connection.execute(trained.format("= 'es@1'"), ("second", "es@2", 2))
        connection.execute("pragma journal_mode = delete")
    return path


def rows_of(path: Path, view: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"select * from {view}").fetchall()


def assert_alike(found: list[Any], expected: list[Any]) -> None:
    """Equal rows in any order, floats to the last digits."""
    assert len(found) == len(expected) > 0
    for one, other in zip(sorted(found, key=_order), sorted(expected, key=_order), strict=True):
        for x, y in zip(one, other, strict=True):
            if isinstance(x, float) or isinstance(y, float):
                assert x is not None
                assert y is not None
                assert math.isclose(x, y, rel_tol=1e-12, abs_tol=1e-15)
            else:
                assert x == y


def _order(row: Any) -> list[tuple[bool, str]]:
    return [(value is None, f"{value:.9g}" if isinstance(value, (int, float)) else str(value)) for value in row]


@pytest.fixture(scope="module")
def old_sqlite() -> dict[str, str]:
    """The environment in which Python takes SQLite 3.31."""
    if not (OLD_SQLITE / "libsqlite3.so.0").exists():
        lacking(f"SQLite 3.31 in {OLD_SQLITE} (.ci/old-sqlite builds it; ESPROBE_OLD_SQLITE names another place)")
    env = os.environ | {"LD_LIBRARY_PATH": str(OLD_SQLITE)}
    asked = [sys.executable, "-c", "import sqlite3; print(sqlite3.sqlite_version)"]
    version = subprocess.run(asked, env=env, capture_output=True, text=True).stdout
    assert version.startswith("3.31.")
    return env


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_reads_alike_in_the_oldest_sqlite(results: Path, old_sqlite: dict[str, str], view: str) -> None:
    code = (
        f"import json, sqlite3, sys; print(json.dumps(sqlite3.connect(sys.argv[1]).execute('select * from {view}').fetchall()))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(results)], env=old_sqlite, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_alike(json.loads(done.stdout), rows_of(results, view))


def test_the_oldest_sqlite_upgrades_imports_reports_and_merges(old_sqlite: dict[str, str], tmp_path: Path) -> None:
    at_revision(tmp_path / "old.db", REVISIONS[0])
    lines = [{"numbers": [1, 2], "target": 3, "draw": d, "text": f"<answer>1+{d}</answer>"} for d in range(4)]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for words in ("--db old.db report", "--db r.db import r.jsonl", "--db r.db report", "--db new.db merge r.db"):
        done = subprocess.run([str(ESPROBE), *words.split()], cwd=tmp_path, env=old_sqlite, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert schema.inspect(tmp_path / "old.db") == "current"
    assert len(rows_of(tmp_path / "new.db", "rollout_text")) == 4


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_reads_alike_in_duckdb(results: Path, view: str) -> None:
    for package in ("duckdb", "duckdb_extension_sqlite_scanner"):
        if importlib.util.find_spec(package) is None:
            lacking(f"the package {package}")
    import duckdb
    import duckdb_extension_sqlite_scanner as scanner

    extension = Path(scanner.__file__).parent / f"extensions/v{duckdb.__version__}/sqlite_scanner.duckdb_extension"
    with closing(duckdb.connect()) as connection:
        connection.execute(f"LOAD '{extension}'")
        connection.execute(f"ATTACH '{results}' AS results (TYPE sqlite, READ_ONLY)")
        found = connection.execute(f"SELECT * FROM results.{view}").fetchall()
    assert_alike(found, rows_of(results, view))
