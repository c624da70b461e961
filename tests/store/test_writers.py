"""Several processes write one database at once and lose nothing; a reader sees whole units only."""

import csv
import io
import multiprocessing
import threading
from pathlib import Path

import pytest

from esprobe.store.store import Store
from tests.benchmarks.writers import UNIT, WRITERS, Writer, Wrote, lost, prepare, stage, write
from tests.helpers.wired import explore, report


def test_four_writers_lose_nothing_and_write_nothing_twice(tmp_path: Path) -> None:
    wrote = stage(tmp_path / "r.db", WRITERS, 40)
    assert [w.draws for w in wrote] == [40] * len(WRITERS)
    assert lost(tmp_path / "r.db", wrote) == []


def test_the_check_finds_what_is_lost(tmp_path: Path) -> None:
    wrote = stage(tmp_path / "r.db", ("alone",), 4)
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


def write_when_let(path: Path, name: str, permits: threading.Semaphore, over: threading.Event) -> Wrote:
    """Saves a unit for each permit, until it is over."""
    writer = Writer(path, name)
    while permits.acquire() and not over.is_set():
        writer.save_unit()
    return writer.end()


@pytest.mark.parametrize("what", ["report", "explore"])
def test_what_is_read_beside_a_writer_is_whole_units_and_never_fails(tmp_path: Path, what: str) -> None:
    db = tmp_path / "r.db"
    prepare(db)
    write(db, "alone", 8)
    seen: list[int] = []
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, spawn.Pool(1) as pool:
        permits, over = manager.Semaphore(0), manager.Event()
        writing = pool.apply_async(write_when_let, (db, "beside", permits, over))
        while len(set(seen)) < 4 and not writing.ready():  # until it was read while it was written
            for _ in range(20):  # which are saved while we read
                permits.release()
            if what == "report":
                rows = list(csv.DictReader(io.StringIO(report(db, style="csv"))))
                assert all(int(row["problems"]) == int(row["problems_at_k"]) == UNIT for row in rows)
                seen.append(sum({row["arm_id"]: int(row["rollouts"]) for row in rows}.values()))
            else:
                seen.append(int(explore(db, tmp_path / "page.html", per_cell=1).split()[-2].replace(",", "")))
        over.set()
        permits.release()
        wrote = writing.get()
    assert lost(db, [wrote]) == []
    assert all(count % UNIT == 0 for count in seen)
    assert seen == sorted(seen)
