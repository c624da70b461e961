"""Several processes write one database at once and lose nothing; whoever reads beside them sees whole units only."""

import csv
import io
import multiprocessing
import time
from pathlib import Path

import pytest

from esprobe import reading
from esprobe.explore import explore
from esprobe.report import Filter, report
from esprobe.store import Store
from tests.benchmarks.writers import UNIT, WRITERS, lost, prepare, stage, write


def test_four_writers_lose_nothing_and_write_nothing_twice(tmp_path: Path) -> None:
    wrote = stage(tmp_path / "r.db", WRITERS, 3)
    assert all(w.draws for w in wrote)
    assert lost(tmp_path / "r.db", wrote) == []


def test_the_check_finds_what_is_lost(tmp_path: Path) -> None:
    wrote = stage(tmp_path / "r.db", ("alone",), 0.3)
    store = Store(tmp_path / "r.db")
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM score WHERE draw = 0 AND problem_id = 7")
        connection.exec_driver_sql("DELETE FROM rollout WHERE draw = 0 AND problem_id = 7")
        connection.exec_driver_sql("UPDATE rollout SET text = 'x' WHERE draw = 0 AND problem_id = 8")
    store.close()
    assert [line.split(": ")[1] for line in lost(tmp_path / "r.db", wrote)] == [
        "draw 0 of problem 8 has another text or score",
        "draw 0 of problem 7 is missing",
    ]


@pytest.mark.parametrize("what", ["report", "explore"])
def test_what_is_read_beside_a_writer_is_whole_units_and_never_fails(tmp_path: Path, what: str) -> None:
    db = tmp_path / "r.db"
    prepare(db)
    write(db, "alone", 0.2, time.time())
    seen = []
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        writing = pool.apply_async(write, (db, "beside", 5.0, time.time() + 1))
        while not writing.ready():
            if what == "report":
                connection = reading.open_database(db, snapshot=True)
                rows = list(csv.DictReader(io.StringIO(report(connection, Filter(), (), "csv"))))
                connection.close()
                assert all(int(row["problems"]) == int(row["problems_at_k"]) == UNIT for row in rows)
                seen.append(sum({row["arm_id"]: int(row["rollouts"]) for row in rows}.values()))
            else:
                seen.append(int(explore(db, tmp_path / "page.html", per_cell=1).split()[-2].replace(",", "")))
        wrote = writing.get()
    assert lost(db, [wrote]) == []
    assert all(count % UNIT == 0 for count in seen)
    assert seen == sorted(seen)
    assert len(set(seen)) > 2  # it was read while it was written
