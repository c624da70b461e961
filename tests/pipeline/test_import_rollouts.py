"""Importing: all of a file or nothing, also while another process writes; the counts are those of the rows written."""

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.store.store import Store
from tests.conftest import ESPROBE, HANGS_S, Run
from tests.helpers.errors import one_line_error

ROLLOUTS = 3000


def rollouts_file(path: Path, text: str, draws: range = range(ROLLOUTS)) -> Path:
    lines = [
        json.dumps({"numbers": [1, 2, 3], "target": 6, "draw": i, "text": f"{text} {i}<answer>1+2+3</answer>"}) for i in draws
    ]
    path.write_text("\n".join(lines))
    return path


def at_once(db: Path, *files: Path) -> list[tuple[int, str]]:
    """(status, what was said) of imports that begin to write at the same moment: until then the database is locked."""
    with closing(sqlite3.connect(db, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        started = [
            subprocess.Popen([ESPROBE, "--db", db, "import", file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for file in files
        ]
        lock.execute("ROLLBACK")
    said = [process.communicate(timeout=HANGS_S)[0].strip() for process in started]
    return [(process.returncode, line) for process, line in zip(started, said, strict=True)]


def texts(db: Path) -> list[str]:
    with closing(sqlite3.connect(db)) as connection:
        assert (
            connection.execute("SELECT count(*) FROM rollout").fetchone()
            == connection.execute("SELECT count(*) FROM score").fetchone()
        )
        return [text for (text,) in connection.execute("SELECT text FROM rollout ORDER BY draw")]


def test_of_two_imports_at_once_that_contradict_each_other_one_is_refused_whole(tmp_path: Path) -> None:
    db = tmp_path / "r.db"
    Store(db).close()
    done = at_once(db, *(rollouts_file(tmp_path / f"{name}.jsonl", name) for name in ("first", "second")))
    assert sorted(status for status, _ in done) == [0, 1]
    assert dict(done)[0] == f"{ROLLOUTS:,} of {ROLLOUTS:,} rollouts imported"
    assert "is already stored with another text" in dict(done)[1]
    assert len(texts(db)) == ROLLOUTS
    assert len({text.split()[0] for text in texts(db)}) == 1
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("SELECT state FROM run").fetchall() == [("done",)]


def test_of_two_imports_at_once_that_agree_each_rollout_is_counted_once(tmp_path: Path) -> None:
    db = tmp_path / "r.db"
    Store(db).close()
    files = [rollouts_file(tmp_path / f"{i}.jsonl", "same", range(i * 1000, i * 1000 + 2000)) for i in range(2)]
    done = at_once(db, *files)
    assert [status for status, _ in done] == [0, 0]
    assert sum(int(line.split()[0].replace(",", "")) for _, line in done) == 3000 == len(texts(db))


def test_a_file_whose_name_is_not_utf_8_is_imported_and_shown(esprobe: Run, tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"\xfe.jsonl")
    file.write_text('{"numbers": [1, 2], "target": 3, "draw": 0, "text": "x"}')
    done = esprobe("--db", tmp_path / os.fsdecode(b"\xff.db"), "import", file)
    assert (done.returncode, done.stderr) == (0, "")
    again = esprobe("--db", tmp_path / os.fsdecode(b"\xff.db"), "runs", "--format", "csv")
    assert r"\xfe.jsonl" in again.stdout


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"nums": [1, 2], "target": 3, "text": "x"}, 'there is no "draw"; the record has nums, target, text'),
        (
            {"nums": [1, 2], "target": 3, "draw": 0, "output": "x"},
            'there is no "text"; the record has nums, target, draw, output',
        ),
        ({"prompt": "x", "ground_truth": 3}, 'there is no "numbers" or "nums"; the record has prompt, ground_truth'),
        ({"numbers": [1, 2], "answer": 3}, 'there is no "target"; the record has numbers, answer'),
        ({}, "the record has no keys at all"),
        ({f"key {i}": i for i in range(1000)}, "key 19, …"),
    ],
    ids=["draw", "text", "numbers", "target", "nothing", "much"],
)
def test_a_record_that_lacks_a_key_is_told_which_keys_it_has(esprobe: Run, tmp_path: Path, record: object, says: str) -> None:
    (tmp_path / "r.jsonl").write_text(json.dumps(record))
    said = one_line_error(esprobe("import", "r.jsonl"), 1)
    assert said.startswith("error: r.jsonl: line 1: ")
    assert says in said
    assert len(said) < 600
