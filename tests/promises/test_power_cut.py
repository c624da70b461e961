"""Pulling the plug at any moment loses no unit whose `save` had returned, leaves none half-written, and the work continues.

A real writer's calls are recorded; every state that its files went through, and many with what was not synced partly lost, is
opened.
"""

import os
import random
import shutil
import sqlite3
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from esprobe.arms import Arm
from esprobe.pipeline.meter import Advance, Quiet
from esprobe.pipeline.sample import sample
from esprobe.plan.sweep import Sweep
from esprobe.store import connection as connections
from esprobe.store import schema
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Facts, Score
from esprobe.tasks.countdown.task import Countdown
from tests.conftest import needs
from tests.promises.disk import Disk, Op, perform, record

SMALL, LARGE = 8, 700  # rollouts per unit; the large one outgrows SQLite's page cache and makes it checkpoint
UNITS = [*[SMALL] * 14, LARGE, *[SMALL] * 8]
LOSSES = 200  # copies with lost writes, of each workload
COMPLETED = {"units": 6, "sweep": 3}  # copies whose work is completed, of either kind


class _Saying(Quiet):
    """A meter that says on standard output how many rollouts are saved."""

    saved = 0

    def start(self, parts: Mapping[str, int], unit: str) -> Advance:
        return self.advance

    def advance(self, part: str, count: int) -> None:
        self.saved += count
        os.write(1, b"saved %d" % self.saved)


def write_units(db: Path, meter: Quiet) -> None:
    """Writes what is lacking of UNITS: each is one draw of so many problems."""
    connections.CHECKPOINT_PAGES = 1000  # SQLite's own: ours would want ten times the units
    connections.CACHE_PAGES = 500
    task, store = Countdown(), Store(db)
    problems = [task.problem({"numbers": [i, 2, 3], "target": "7"}) for i in range(LARGE)]
    store.add_problems([(problem, Facts(True, None, 0.5)) for problem in store.unknown_problems(problems)])
    ids = store.problem_ids(problems)
    arm_id = store.arm_id(Arm("m", "d", "perturbation", 0.5))
    done = store.done(arm_id)
    run_id = store.start_run("writer", {}, {})
    for draw, size in enumerate(UNITS):
        if (draw, ids[0]) not in done:
            rows = [
                RolloutRow(
                    draw, i, f"{draw} {i} " + "x" * (2800 + i % 99), 9, "stop", Score(i % 3 == 0, "correct", f"{i}", f"{i}", 1.0)
                )
                for i in ids[:size]
            ]
            store.save(arm_id, run_id, "countdown", rows, {draw: draw * 7})
            meter.start({"units": size}, "rollouts")("units", size)
    store.end_run(run_id, "done")
    store.close()


def sweep(db: Path, meter: Quiet) -> None:
    """What `esprobe sample-temp -T 0.5 -n 6 --limit 4 --batch-size 8` does."""
    wanted = Sweep("temperature", (0.5,), 6, limit=4, batch_size=8, max_new_tokens=24)
    sample(wanted, db, "esprobe sample-temp", meter)


WORKLOADS: dict[str, Callable[[Path, Quiet], None]] = {"units": write_units, "sweep": sweep}


def rows_of(db: Path, limit: int = -1) -> dict[str, list[Any]]:
    """All rows of a database, but not which run wrote them; of rollouts and scores the first `limit`."""
    with closing(sqlite3.connect(db)) as connection:
        kept = (
            "r.arm_id, r.problem_id, r.draw, r.tokens, r.prompt_tokens, r.finish, r.text, "
            "s.scorer, s.correct, s.reason, s.answer, s.ballot, s.reward, s.expression"
        )
        found = {
            "rollout": connection.execute(
                f"select r.id, {kept} from rollout r left join score s using (arm_id, draw, problem_id) order by r.id limit ?",
                [limit],
            ).fetchall()
        }
        for table in ("model", "problem", "arm"):
            found[table] = connection.execute(f"select * from {table} order by id").fetchall()
        if limit < 0:
            found["draw"] = connection.execute("select * from draw order by arm_id, number").fetchall()
    return found


def rollouts_in(folder: Path, journal_rolls_back: bool = False) -> int:
    """How many rollouts the copy has, each with its score; -1 before there are tables. It must be sound."""
    db = folder / "r.db"
    if not db.exists():
        return -1
    mode = "rwc" if journal_rolls_back else "ro"  # read-only leaves the files as they are, so that the next write can follow
    with closing(sqlite3.connect(f"file:{db}?mode={mode}", uri=True)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        if not tables:
            return -1
        assert len(tables) == 9, tables
        (rollouts,) = connection.execute("select count(*) from rollout").fetchone()
        assert connection.execute("select count(*) from score").fetchone() == (rollouts,)
        assert connection.execute("select sum(instr(text, ' ') > 0) from rollout").fetchone()[0] in (rollouts, None)
    return int(rollouts)


def check(folder: Path, promised: int, totals: list[int]) -> int:
    """The copy has a whole number of units, at least those promised and at most one more; returns its rollouts."""
    there = set(folder.iterdir())
    assert not there or promised or schema.inspect(folder / "r.db") in ("new", "current")
    if (folder / "r.db-journal").exists():
        with tempfile.TemporaryDirectory() as other:
            copy = Path(shutil.copytree(folder, other, dirs_exist_ok=True))
            found = rollouts_in(copy, journal_rolls_back=True)
    else:
        found = rollouts_in(folder)
        for added in set(folder.iterdir()) - there:  # an index in shared memory, an empty log
            added.unlink()
    allowed = {0, promised, totals[min(bisect_right(totals, promised), len(totals) - 1)]} | ({-1} if not promised else set())
    assert found in (allowed if not promised else allowed - {0}), (found, promised)
    return found


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of copies are no work for a disk."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None, prefix="esprobe-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_no_power_cut_loses_or_halves_a_unit(memory: Path, workload: str, capsys: pytest.CaptureFixture[str]) -> None:
    needs("strace", "true")
    (memory / "made").mkdir()
    code = "import sys; from pathlib import Path; from tests.promises.test_power_cut import WORKLOADS, _Saying; "
    code += "WORKLOADS[sys.argv[1]](Path(sys.argv[2]), _Saying())"
    ops = record([sys.executable, "-c", code, workload, str(memory / "made/r.db")], memory / "made")
    ops = [op for op in ops if op.kind != "said" or op.data.startswith(b"saved ")]  # a library asks `uname`, which answers there
    totals = [int(op.data.split()[1]) for op in ops if op.kind == "said"]
    assert len(totals) >= 4
    logs = sum(op.name == "r.db-wal" and op.kind == "write" and op.offset == 0 for op in ops)
    assert logs >= (3 if workload == "units" else 2)  # the tables' log, the units', and one begun again after a checkpoint
    whole = rows_of(memory / "made/r.db")
    assert len(whole["rollout"]) == totals[-1]
    rng = random.Random(workload)
    chosen = set(rng.sample([i for i, op in enumerate(ops) if op.kind not in ("said", "sync")], COMPLETED[workload]))

    (memory / "now").mkdir()
    promised = copies = lost = completed = 0
    for i, op in enumerate(ops):
        if op.kind == "said":
            promised = int(op.data.split()[1])
            continue
        perform(op, memory / "now")
        if op.kind != "sync":
            copies += 1
            check(memory / "now", promised, totals)
            if i in chosen:
                completes(memory / "now", workload, whole)
                completed += 1
    assert [path.name for path in (memory / "now").iterdir()] == ["r.db"]
    assert (memory / "now/r.db").read_bytes() == (memory / "made/r.db").read_bytes()

    for copy, disk, promised in cuts(ops, rng):
        folder = memory / f"cut{copy}"
        folder.mkdir()
        lost += disk.cut(rng, folder)
        check(folder, promised, totals)
        if copy % (LOSSES // COMPLETED[workload]) == 0:
            completes(folder, workload, whole)
            completed += 1
        shutil.rmtree(folder)
    assert lost > LOSSES
    writes, syncs = (sum(op.kind == kind for op in ops) for kind in ("write", "sync"))
    with capsys.disabled():
        print(
            f"\npower cut, {workload}: {writes:,} writes, {syncs} syncs; {copies:,} copies after each call, "
            f"{LOSSES} more with {lost:,} unsynced writes lost or torn, {completed} completed; no unit lost or halved"
        )


def cuts(ops: list[Op], rng: random.Random) -> Iterator[tuple[int, Disk, int]]:
    """LOSSES moments at which something is not synced: (number, the disk then, rollouts promised by then)."""
    probe, open_ends = Disk(), []
    for i, op in enumerate(ops):
        probe.apply(op)
        if probe.unsynced and op.kind != "said":
            open_ends.append(i)
    moments = sorted(rng.choices(open_ends, k=LOSSES))
    disk, promised, number = Disk(), 0, 0
    for i, op in enumerate(ops):
        disk.apply(op)
        if op.kind == "said":
            promised = int(op.data.split()[1])
        while number < LOSSES and moments[number] == i:
            yield number, disk, promised
            number += 1


def completes(cut: Path, workload: str, whole: dict[str, list[Any]]) -> None:
    """The copy's rows are those of the undisturbed database, and the same work completes it to that, row for row."""
    with tempfile.TemporaryDirectory(dir=cut.parent) as other:
        db = Path(shutil.copytree(cut, other, dirs_exist_ok=True)) / "r.db"
        found = rollouts_in(db.parent, journal_rolls_back=True)
        if found >= 0:
            assert rows_of(db, found)["rollout"] == whole["rollout"][:found]
        WORKLOADS[workload](db, Quiet())
        assert rows_of(db) == whole
        assert rollouts_in(db.parent) == len(whole["rollout"])
