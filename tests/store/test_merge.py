"""Merging: separately made halves equal the whole, nothing is taken twice, the other file stays as it is."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.arms import Arm, recorded_seed
from esprobe.errors import UserError
from esprobe.pipeline.meter import Quiet
from esprobe.pipeline.rescore import rescore
from esprobe.store import disputes, schema
from esprobe.store.merge import merge
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.countdown.task import Countdown
from tests.conftest import HANGS_S, Run
from tests.helpers.refused import foreign, newer, text, torn

TASK = Countdown()
PROBLEMS = [TASK.problem({"numbers": [n, n + 1, 3], "target": str(2 * n + 4)}) for n in range(10, 16)]
ARMS = [
    Arm("tiny", "d1", "greedy", None),
    Arm("tiny", "d1", "temperature", 0.5, {"seed": 42}),
    Arm("tiny", "d1", "temperature", 0.5, {"seed": 43}),
    Arm("tiny", "d1", "perturbation", 0.01, {"seed": 42, "noise": "iid"}),
    Arm("other", "d2", "temperature", 0.5, {"seed": 42}),
    Arm("elsewhere", "d3", "perturbation", 0.01, {"imported": "its seeds follow from nothing here"}),
]


def answer(problem: int, draw: int) -> str:
    n = 10 + problem
    return f"<answer>{n}+{n + 1}+3</answer>" if (problem + draw) % 3 == 0 else f"<answer>{n}-{draw}</answer>"


def make(path: Path, arms: Iterable[int], draws: range, problems: Iterable[int] = range(6), text: str = "") -> Path:
    """A database of some arms, draws and problems, by both scorers. `text` is put before every rollout's text."""
    store = Store(path)
    chosen = [PROBLEMS[i] for i in problems]
    store.add_problems([(p, TASK.facts(p)) for p in store.unknown_problems(chosen)])
    ids = store.problem_ids(chosen)
    run_id = store.start_run("made by a test", {}, {})
    scorer = TASK.scorers["countdown"]
    for i in arms:
        rows = []
        for problem, problem_id in zip(problems, ids, strict=True):
            for draw in draws:
                said = text + answer(problem, draw)
                rows.append(RolloutRow(draw, problem_id, said, 7 + draw, "stop", scorer(PROBLEMS[problem].payload, said)))
        seeds = {d: recorded_seed(ARMS[i].settings, d) or 0 for d in draws} if ARMS[i].method == "perturbation" else None
        store.save(store.arm_id(ARMS[i]), run_id, "countdown", rows, seeds)
    store.end_run(run_id, "done")
    store.close()
    rescore(path, "countdown-published", False, Quiet())
    return path


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


CONTENT = [
    "SELECT digest, name FROM model ORDER BY digest",
    "SELECT digest, task, payload, solvable, solution, chance FROM problem ORDER BY digest",
    "SELECT arm.digest, model.digest, method, value, settings FROM arm JOIN model ON model.id = model_id ORDER BY arm.digest",
    "SELECT digest, number, seed FROM draw JOIN arm ON arm.id = arm_id ORDER BY digest, number",
    "SELECT arm.digest, problem.digest AS p, draw, text, tokens, finish FROM rollout JOIN arm ON arm.id = arm_id "
    "JOIN problem ON problem.id = problem_id ORDER BY arm.digest, p, draw",
    "SELECT scorer, arm.digest, problem.digest AS p, draw, correct, reason, answer, ballot, reward, expression FROM score "
    "JOIN arm ON arm.id = arm_id JOIN problem ON problem.id = problem_id ORDER BY scorer, arm.digest, p, draw",
]
VIEWED = (
    "SELECT pass_at_k.scorer, digest, k, problems, round(pass_at_k, 12), round(stderr, 12), round(chance, 12) "
    "FROM pass_at_k JOIN arm ON arm.id = arm_id ORDER BY pass_at_k.scorer, digest, k"
)
RUNS = (
    "SELECT uuid, arm.digest, problem.digest AS p, draw FROM rollout JOIN run ON run.id = run_id JOIN arm ON arm.id = arm_id "
    "JOIN problem ON problem.id = problem_id ORDER BY uuid, arm.digest, p, draw"
)


def content(path: Path) -> list[list[tuple[object, ...]]]:
    """All rows of the database but runs, without ids."""
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "PRAGMA foreign_key_check") == []
    return [rows(path, sql) for sql in [*CONTENT, VIEWED]]


def everything(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return "\n".join(connection.iterdump())


HALVES = {
    "draws": (([0, 1, 2, 3, 4], range(4), range(6)), ([4, 3, 2, 1, 0], range(4, 9), [5, 4, 3, 2, 1, 0])),
    "arms": (([1, 3], range(9), range(6)), ([4, 2, 0], range(9), [3, 1, 5, 0, 2, 4])),
    "problems": (([0, 1, 2, 3, 4], range(9), [3, 0]), ([4, 0, 1, 3, 2], range(9), [5, 4, 1, 2])),
    "overlapping": (([0, 1, 2, 3], range(9), range(6)), ([2, 3, 4], range(9), [2, 1, 3, 5, 4, 0])),
}


@pytest.mark.parametrize("halves", HALVES.values(), ids=HALVES)
def test_two_halves_made_separately_equal_the_whole(
    tmp_path: Path, halves: tuple[tuple[list[int], range, list[int]], ...]
) -> None:
    whole = make(tmp_path / "whole.db", range(5), range(9))
    first, second = (make(tmp_path / f"{i}.db", *half) for i, half in enumerate(halves))
    made = sorted(rows(first, RUNS) + rows(second, RUNS))
    there = everything(second)
    merged = merge(second, first)
    assert content(first) == content(whole)
    assert merged.differing == 0
    assert merged.rollouts == len(rows(whole, "SELECT id FROM rollout")) - len(halves[0][0]) * len(halves[0][1]) * len(
        halves[0][2]
    )
    assert merged.scores == 2 * merged.rollouts
    assert set(rows(first, RUNS)) <= set(made)
    assert len(rows(first, "SELECT uuid FROM run")) == 2
    # and nothing is taken twice, in either direction
    before = everything(first)
    again = merge(second, first)
    assert (again.models, again.problems, again.arms, again.runs, again.rollouts, again.scores) == (0, 0, 0, 0, 0, 0)
    assert everything(first) == before
    assert everything(second) == there
    merge(first, second)
    assert content(second) == content(whole)


def test_merging_into_a_database_that_is_not_there_copies_it(tmp_path: Path) -> None:
    other = make(tmp_path / "other.db", range(5), range(3))
    merged = merge(other, tmp_path / "new.db")
    assert (merged.models, merged.problems, merged.arms, merged.runs, merged.rollouts) == (2, 6, 5, 1, 90)
    assert content(tmp_path / "new.db") == content(other)
    assert rows(tmp_path / "new.db", RUNS) == rows(other, RUNS)


def test_a_scorer_that_only_the_other_side_asked_is_taken_in(tmp_path: Path) -> None:
    other = make(tmp_path / "other.db", [1], range(3))
    ours = shutil.copy(other, tmp_path / "ours.db")
    with closing(sqlite3.connect(ours)) as connection, connection:
        connection.execute("DELETE FROM score WHERE scorer = 'countdown-published'")
    merged = merge(other, ours)
    assert (merged.rollouts, merged.scores, merged.differing) == (0, 18, 0)
    assert content(ours) == content(other)


def test_a_rollout_with_another_text_stays_as_it_is_here_with_its_scores(esprobe: Run, tmp_path: Path) -> None:
    ours = make(tmp_path / "esprobe.db", [1], range(4), [0, 1])
    other = make(tmp_path / "other.db", [1], range(2, 6), [1, 2], text="<answer>1</answer> no, ")
    with closing(sqlite3.connect(ours)) as connection, connection:  # so that a wrong text's score could slip in
        connection.execute("DELETE FROM score WHERE scorer = 'countdown-published'")
    before = [set(rows(ours, sql)) for sql in CONTENT]
    done = esprobe("merge", other)
    assert done.stdout.endswith("; not merged: 2 rollouts with another text than here\n")
    assert done.stdout.startswith("6 of 8 rollouts merged; also new: 12 scores, 0 arms, 1 problem, 1 run")
    after = [set(rows(ours, sql)) for sql in CONTENT]
    assert all(b <= a for b, a in zip(before, after, strict=True))
    assert len(after[4]) == 8 + 6
    assert len(after[5]) == 8 + 12
    assert esprobe("merge", other).stdout.startswith("0 of 8 rollouts merged; also new: 0 scores, 0 arms, 0 problems, 0 runs")


def test_a_run_that_ended_after_it_was_copied_is_brought_up_to_date(tmp_path: Path) -> None:
    other = make(tmp_path / "other.db", [1], range(2))
    ours = shutil.copy(other, tmp_path / "ours.db")
    with closing(sqlite3.connect(ours)) as connection, connection:
        connection.execute("UPDATE run SET ended = NULL, state = 'running'")
    merge(other, ours)
    assert rows(ours, "SELECT * FROM run") == rows(other, "SELECT * FROM run")


@pytest.mark.parametrize("make_file", [foreign, newer, text, torn])
def test_a_file_that_is_not_ours_is_refused_and_nothing_changes(esprobe: Run, tmp_path: Path, make_file: object) -> None:
    ours = make(tmp_path / "esprobe.db", [1], range(2))
    make_file(tmp_path / "other.db")  # type: ignore[operator]
    before, there = everything(ours), (tmp_path / "other.db").read_bytes()
    refused = esprobe("merge", "other.db")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: other.db: ")
    assert refused.stderr.count("\n") == 1
    assert everything(ours) == before
    assert (tmp_path / "other.db").read_bytes() == there


def test_what_cannot_be_merged_is_refused_in_one_line(esprobe: Run, tmp_path: Path) -> None:
    ours = make(tmp_path / "esprobe.db", [1], range(2))
    (tmp_path / "link.db").symlink_to(ours)
    (tmp_path / "empty.db").touch()
    for name, says in [
        ("esprobe.db", "the database itself"),
        ("link.db", "the database itself"),
        ("missing.db", "no results database"),
        ("empty.db", "no results database"),
        (".", "cannot be"),
    ]:
        refused = esprobe("merge", name)
        assert refused.returncode == 1, name
        assert says in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "missing.db").exists()
    assert esprobe("--db", "new.db", "merge", "missing.db").returncode == 1
    assert not (tmp_path / "new.db").exists()


def test_all_or_nothing(tmp_path: Path) -> None:
    ours = make(tmp_path / "ours.db", [0], range(2))
    before = everything(ours)
    other = make(tmp_path / "other.db", [1, 3], range(3))
    with closing(sqlite3.connect(other)) as connection, connection:  # a rollout of a problem that is not there
        connection.execute("UPDATE rollout SET problem_id = 99 WHERE id = (SELECT max(id) FROM rollout)")
    with pytest.raises(UserError, match="nothing was merged"):
        merge(other, ours)
    assert everything(ours) == before
    broken = make(tmp_path / "broken.db", range(5), range(40))
    with closing(sqlite3.connect(broken)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    data = bytearray(broken.read_bytes())
    data[len(data) // 2 : -4096] = b"\x07" * (len(data) - 4096 - len(data) // 2)
    broken.write_bytes(data)
    with pytest.raises(UserError, match="nothing was merged"):
        merge(broken, ours)
    assert everything(ours) == before


def test_another_seed_of_the_same_draw_is_refused(tmp_path: Path) -> None:
    ours = make(tmp_path / "ours.db", [5], range(2))
    other = make(tmp_path / "other.db", [5], range(2, 4))
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("INSERT INTO draw SELECT arm_id, 0, 77, sigma FROM draw LIMIT 1")
    before = everything(ours)
    with pytest.raises(UserError, match="another seed"):
        merge(other, ours)
    assert everything(ours) == before


def test_the_other_file_keeps_every_byte_even_with_a_log_beside_it(tmp_path: Path) -> None:
    made = make(tmp_path / "made.db", range(5), range(9))
    with closing(sqlite3.connect(made)) as writer:  # an open connection keeps the log
        writer.execute("UPDATE model SET name = 'renamed'")
        writer.commit()
        folder = tmp_path / "there"
        folder.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(f"{made}{suffix}", folder / f"other.db{suffix}")
    before = {suffix: (folder / f"other.db{suffix}").read_bytes() for suffix in ("", "-wal")}
    assert before["-wal"]
    assert merge(folder / "other.db", tmp_path / "ours.db").rollouts == 5 * 9 * 6
    assert {suffix: (folder / f"other.db{suffix}").read_bytes() for suffix in ("", "-wal")} == before
    assert rows(tmp_path / "ours.db", "SELECT DISTINCT name FROM model") == [("renamed",)]


def test_an_older_file_is_merged_from_an_upgraded_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make(tmp_path / "other.db", range(5), range(2))
    before = other.read_bytes()
    expected = content(other)
    folder = tmp_path / "migrations"
    shutil.copytree(schema.migrations_folder(), folder)
    (folder / "versions/9999_next.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = '9999'\ndown_revision = {schema.HEAD!r}\n"
        "def upgrade():\n    op.add_column('problem', sa.Column('colour', sa.String))\n"
    )
    monkeypatch.setattr(schema, "migrations_folder", lambda: folder)
    monkeypatch.setattr(schema, "HEAD", "9999")
    assert schema.inspect(other) == "older"
    assert merge(other, tmp_path / "ours.db").rollouts == 60
    assert content(tmp_path / "ours.db") == expected
    assert other.read_bytes() == before
    assert schema.inspect(other) == "older"


@pytest.mark.parametrize("name", ["file:x.db", "a?mode=memory.db", "50%20 #1.db", "it's.db"])
def test_odd_file_names_are_only_names(esprobe: Run, tmp_path: Path, name: str) -> None:
    other = make(tmp_path / name, [1], range(2), [0])
    assert esprobe("--db", f"ours {name}", "merge", name).stdout.startswith("2 of 2 rollouts merged")
    assert content(tmp_path / f"ours {name}") == content(other)


def test_merging_while_another_process_writes_waits_its_turn(tmp_path: Path) -> None:
    parts = [make(tmp_path / f"{i}.db", [i], range(9)) for i in range(5)]
    code = (
        "import sys; from pathlib import Path; from esprobe.store.merge import merge; merge(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    whole = str(tmp_path / "all.db")
    started = [subprocess.Popen([sys.executable, "-c", code, str(p), whole], stderr=subprocess.PIPE) for p in parts]
    for process in started:
        _, stderr = process.communicate(timeout=HANGS_S)
        assert process.returncode == 0, stderr
    assert content(tmp_path / "all.db") == content(make(tmp_path / "whole.db", range(5), range(9)))


def test_nobody_writes_between_a_look_at_the_database_and_the_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, other = make(tmp_path / "ours.db", [1], range(2)), make(tmp_path / "other.db", [2], range(2))
    look = disputes.ours

    def looked(connection: sqlite3.Connection) -> str | None:
        found = look(connection)
        with closing(sqlite3.connect(ours, timeout=0)) as writer, pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("UPDATE run SET message = 'meanwhile'")
        return found

    monkeypatch.setattr(disputes, "ours", looked)
    assert merge(other, ours).rollouts == 12


@pytest.mark.parametrize("read_first", [False, True])
def test_a_file_that_was_copied_without_its_log_is_merged_with_a_warning(tmp_path: Path, esprobe: Run, read_first: bool) -> None:
    made = make(tmp_path / "made.db", range(2), range(3))
    with closing(sqlite3.connect(made)) as connection, connection:
        connection.execute("UPDATE run SET state = 'running', ended = NULL")
    (tmp_path / "copy").mkdir()
    copy = shutil.copy(made, tmp_path / "copy")
    if read_first:  # which leaves an empty log
        esprobe("--db", copy, "sql", "SELECT 1")
        assert Path(f"{copy}-wal").stat().st_size == 0
    said = esprobe("--db", "ours.db", "merge", copy)
    assert said.returncode == 0
    assert "1 run in it did not end" in said.stderr + said.stdout
    assert "in the file that ends in -wal, so copy both and merge again" in said.stderr + said.stdout
