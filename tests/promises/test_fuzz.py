"""Any text, file or database that a stranger may hand over gives a sound result or one clear error, and destroys nothing."""

import csv
import io
import json
import math
import random
import re
import shutil
import sqlite3
import unicodedata
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esprobe.cli.presets.load import load_preset
from esprobe.errors import UserError
from esprobe.pipeline.import_rollouts import Source, import_rollouts
from esprobe.report.render import LONGEST, Format, render
from esprobe.store.merge import merge
from esprobe.tasks.countdown.scorers import countdown, countdown_published
from esprobe.tasks.countdown.task import Countdown
from esprobe.tasks.records import load_problems, read_records
from tests.helpers.made import make
from tests.helpers.published import published_rule
from tests.helpers.wired import report

REASONS = {"no_answer", "bad_characters", "wrong_numbers", "not_an_expression", "division_by_zero", "wrong_value", "correct"}
texts = st.text(st.characters(codec="utf-8"), max_size=40)
answers = st.lists(
    st.sampled_from(["<answer>", "</answer>", "</think>\n", "1", "2", "3", "+", "-", "*", "/", "**", "//", "(", ")", " ", "\n"])
    | texts,
    max_size=30,
).map("".join)


@settings(max_examples=1000)
@given(answers, st.booleans())
def test_any_text_gets_a_verdict_with_a_known_reason(text: str, wrapped: bool) -> None:
    problem = {"numbers": [1, 2, 3], "target": "6"}
    text = f"<answer>{text}</answer>" if wrapped else text
    for scorer in (countdown, countdown_published):
        verdict = scorer(problem, text)
        assert verdict.reason in REASONS
        assert verdict.correct == (verdict.reason == "correct")
        assert 0 <= verdict.reward <= 1
    if "**" not in text:
        assert verdict.correct == published_rule(problem, text)


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
numbers = values | st.lists(st.integers(-1, 2 * 10**9) | values, max_size=4)
targets = values | st.decimals(-100, 100, places=2).map(str)
records = values | st.fixed_dictionaries(
    {},
    optional={
        "numbers": numbers,
        "nums": numbers,
        "target": targets,
        "draw": values | st.integers(0, 9),
        "text": values | answers,
    },
)


@given(records)
def test_any_record_is_a_problem_that_reads_as_itself_or_one_error(record: Any) -> None:
    task = Countdown()
    try:
        problem = task.problem(record)
    except UserError:
        return
    assert task.problem(problem.payload).digest == problem.digest
    assert countdown(problem.payload, "<answer>1</answer>").reason in REASONS


@given(st.binary(max_size=300) | st.lists(records, max_size=3).map(lambda found: json.dumps(found).encode()))
def test_any_file_is_problems_records_and_options_or_one_error(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.toml"
        path.write_bytes(content)
        for read in (
            lambda: read_records(path),
            lambda: load_problems(Countdown(), path),
            lambda: load_preset(str(path), "sample-temp"),
        ):
            with suppress(UserError):
                read()


def everything(path: Path) -> list[str]:
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return [line for line in connection.iterdump() if line.startswith("INSERT INTO")]


@settings(max_examples=60)
@given(st.lists(records | st.just({"numbers": [1, 2, 3], "target": 6, "draw": 0, "text": "t"}), min_size=1, max_size=4))
def test_any_import_is_taken_in_whole_or_leaves_nothing(lines: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        path, db = Path(folder) / "f.jsonl", Path(folder) / "r.db"
        make(db, [("imported", None, {0: "+"})])
        before = everything(db)
        path.write_text("\n".join(json.dumps(line) for line in lines))
        try:
            imported = import_rollouts(path, db, "test", Source("m"))
        except UserError:
            assert everything(db) == before
        else:
            assert set(before) <= set(everything(db))
            assert import_rollouts(path, db, "test", Source("m")).new == 0 <= imported.new


cells = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
tables = st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[cells] * n), max_size=4))
HARD = [
    "=1+1",
    "x;=1+1",
    'x;"=1',
    "a\n=1",
    "+a",
    "-1-1",
    "@x",
    "\t=1",
    "\r",
    "\n",
    "a\rb",
    '"',
    "'",
    "|",
    "\\|",
    "<b>",
    "`$x$`",
    "\x1b[31m",
    "\x9b",
    "\u202e",
]


@settings(max_examples=300)
@given(tables, st.data())
def test_any_cells_stay_themselves_in_json_and_csv(rows: list[tuple[Any, ...]], data: st.DataObject) -> None:
    rows = [*rows, tuple(data.draw(st.sampled_from(HARD)) for _ in rows[0])] if rows else []
    columns = [f"c{i}" for i in range(len(rows[0]) if rows else 1)]
    text = render(columns, rows, "json")
    assert [tuple(record.values()) for record in json.loads(text)] == rows
    assert all(c.isprintable() or c == "\n" for c in text)
    read = list(csv.reader(io.StringIO(render(columns, rows, "csv"), newline="")))
    assert read[0] == columns
    for row, got in zip(rows, read[1:], strict=True):
        for cell, shown in zip(row, got, strict=True):
            plain = "" if cell is None else str(cell)
            assert shown.replace("'", "") == plain.replace("'", "")
            assert (shown == plain) or isinstance(cell, str)
            for part in re.split(r"[;|\t\r\n]", shown) if isinstance(cell, str) else ():
                if part.strip(" \"'").startswith(("=", "+", "-", "@")) and "'" not in part:
                    assert math.isfinite(float(part.strip(' "')))


@pytest.mark.parametrize("style", ["table", "markdown"])
@settings(max_examples=150)
@given(tables, st.data())
def test_no_cell_breaks_a_table_or_reaches_the_terminal(style: Format, rows: list[tuple[Any, ...]], data: st.DataObject) -> None:
    rows = [*rows, tuple(data.draw(st.sampled_from(HARD)) for _ in rows[0])] if rows else []
    columns = [f"\x1b{i}|\n" for i in range(len(rows[0]) if rows else 1)]
    text = render(columns, rows, style)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or c == "\n" for c in text)
    if style == "markdown":
        lines = text.split("\n")
        assert len(lines) == 2 + len(rows)
        for line in (lines[0], *lines[2:]):
            assert len(line.replace("\\\\", "").replace("\\|", "").split("|")) == len(columns) + 2
            assert "<" not in line


def test_a_huge_cell_is_cut_in_tables_and_whole_elsewhere() -> None:
    huge = "x" * (10 * LONGEST)
    assert len(render(["a"], [[huge]], "markdown")) < 2 * LONGEST
    assert "90,000 characters more" in render(["a"], [[huge]], "table").replace("\n", "").replace("  ", " ")
    assert huge in render(["a"], [[huge]], "csv")
    assert huge in render(["a"], [[huge]], "json")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two small databases with problems in common."""
    folder = tmp_path_factory.mktemp("small")
    make(folder / "other.db", [("temperature", 0.5, {0: "+-", 1: "--"}), ("perturbation", 0.1, {0: "+-", 1: "++"})])
    make(folder / "ours.db", [("temperature", 0.5, {0: "+"}), ("greedy", None, {1: "-"})])
    return folder / "other.db", folder / "ours.db"


@settings(max_examples=80)
@given(st.integers(0, 2**32), st.integers(1, 12), st.booleans())
def test_a_damaged_database_is_merged_soundly_or_refused(small: tuple[Path, Path], seed: int, flips: int, page: bool) -> None:
    chance = random.Random(seed)
    content = bytearray(small[0].read_bytes())
    for _ in range(flips):
        at = chance.randrange(len(content))
        if page:  # within what is written, which is where it hurts
            used = [i for i in range(100, len(content)) if content[i]]
            at = chance.choice(used)
        content[at] ^= 1 << chance.randrange(8)
    with TemporaryDirectory() as folder:
        other, ours = Path(folder) / "other.db", Path(folder) / "ours.db"
        other.write_bytes(content)
        shutil.copy(small[1], ours)
        before = everything(ours)
        try:
            merge(other, ours)
        except UserError:
            assert everything(ours) == before
        else:
            assert set(before) <= set(everything(ours))
            assert json.loads(report(ours, style="json"))
        assert other.read_bytes() == content
