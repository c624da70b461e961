"""Views and triggers that esprobe has not made: none in place of its own is read, none that would run, and a user's are kept."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.helpers.contents import everything
from tests.helpers.errors import one_line_error
from tests.store.conftest import Altered

VIEWS = {
    "another view": "DROP VIEW solved; CREATE VIEW solved AS SELECT scorer, arm_id, problem_id, 64 AS n, 64 AS c FROM score",
    "no view": "DROP VIEW arm_summary",
    "a table for a view": "DROP VIEW pass_at_k; CREATE TABLE pass_at_k (x)",
    "a view for a table": "ALTER TABLE run RENAME TO r; CREATE VIEW run AS SELECT * FROM r",
}


@pytest.mark.parametrize("sql", VIEWS.values(), ids=VIEWS)
def test_views_that_are_not_ours_are_not_read(esprobe: Run, other: Altered, sql: str) -> None:
    other(sql)
    for words in (["report"], ["explore"], ["runs"], ["sql", "select 1"]):
        says = one_line_error(esprobe("--db", "other.db", *words), 1)
        assert "is not the one that esprobe makes" in says or "its table run is a view" in says
    if "TABLE run" not in sql:  # the way out that the line names
        assert esprobe("merge", "other.db").returncode == 0
        assert esprobe("report").returncode == 0


def test_a_users_own_views_are_theirs(esprobe: Run, other: Altered) -> None:
    other("CREATE VIEW mine AS SELECT count(*) AS rollouts FROM rollout")
    assert esprobe("--db", "other.db", "sql", "select * from mine", "--format", "csv").stdout == "rollouts\n32\n"
    assert esprobe("--db", "other.db", "report").returncode == 0


def test_nothing_is_written_where_a_trigger_would_run(esprobe: Run, other: Altered, tmp_path: Path) -> None:
    path = other('CREATE TRIGGER "a ""b""" AFTER INSERT ON Rollout BEGIN DELETE FROM score; END')
    (tmp_path / "one.jsonl").write_text('{"numbers": [1, 2], "target": 3, "draw": 0, "text": "x"}')
    before = everything(path)
    for words in (["import", "one.jsonl"], ["score", "--all"], ["merge", "another.db"]):
        if words[0] == "merge":
            shutil.copy(path, tmp_path / "another.db")
        says = one_line_error(esprobe("--db", "other.db", *words), 1)
        assert 'its trigger a "b" would run' in says
    assert everything(path) == before
    assert esprobe("--db", "other.db", "report").returncode == 0  # reading runs none
    assert esprobe("merge", "other.db").returncode == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('DROP TRIGGER "a ""b"""')
    assert esprobe("--db", "other.db", "import", "one.jsonl").returncode == 0
