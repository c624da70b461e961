"""Records are read from the forms in which data sets lie about: arrays, lines, columns and CSV."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.errors import UserError
from esprobe.tasks.countdown.task import Countdown
from esprobe.tasks.records import load_problems, read_records

ROWS = [{"question": "1?", "answer": "#### 1"}, {"question": "2,?", "answer": "#### 2"}]


def read(path: Path, text: str) -> list[Any]:
    path.write_text(text)
    return [record for _, record in read_records(path)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps(ROWS, indent=1)),
        ("a.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("lists.json", json.dumps({name: [row[name] for row in ROWS] for name in ROWS[0]}, indent=1)),
        ("pandas.json", json.dumps({name: {str(i): row[name] for i, row in enumerate(ROWS)} for name in ROWS[0]})),
        ("a.csv", 'question,answer\n1?,#### 1\n"2,?",#### 2\n'),
    ],
)
def test_rows_columns_and_csv_are_the_same_records(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path / name, text) == ROWS


def test_one_object_that_is_no_columns_is_one_record(tmp_path: Path) -> None:
    for record in ({"numbers": [1, 2], "target": 3}, {"a": [1], "b": [1, 2]}, {"a": [1, 2]}, {}, {"a": {}, "b": {}}):
        assert read(tmp_path / "a.json", json.dumps(record, indent=2)) == [record]


def test_countdown_problems_are_read_from_csv(tmp_path: Path) -> None:
    (tmp_path / "a.CSV").write_text('nums,target\n"[44, 19, 35]",98\n')
    assert load_problems(Countdown(), tmp_path / "a.CSV")[0].payload == {"numbers": [44, 19, 35], "target": "98"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2,3\n", "line 2: 3 cells under 2 names"),
        ("a\n" + "x" * 200_000, "line 2: not valid CSV"),
        ("a,b\n", "no records"),
    ],
)
def test_a_broken_csv_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=says):
        read_records(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PAR1\x15\x04PAR1", "a Parquet file; make JSON Lines of it"),
        (gzip.compress(json.dumps(ROWS).encode(), mtime=0), "gunzip"),
        (b"ab\xff\xfe", "cannot be read as text: byte 3 is not UTF-8$"),
    ],
)
def test_a_file_that_is_no_text_is_refused_with_the_way_out(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError, match=says):
        read_records(tmp_path / "a")


@given(st.lists(st.fixed_dictionaries({"a": st.text(max_size=5), "b": st.integers()}), min_size=1, max_size=5))
def test_columns_of_any_rows_are_these_rows(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("columns") / "c.json"
    assert read(path, json.dumps({name: [row[name] for row in rows] for name in ("a", "b")})) == rows
