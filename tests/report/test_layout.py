"""Tables on a terminal: no number is ever cut, nothing is lost, and lines are no wider than the terminal."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.analysis.arms import Filter
from esprobe.report.layout import fold, right_to_left, table, width_of
from esprobe.report.render import visible
from esprobe.report.words import percent
from tests.conftest import ESPROBE
from tests.helpers.judged import EASY, HARD, Made, make
from tests.helpers.terminal import numbers, on_terminal
from tests.helpers.wired import load_arms

words = st.text(st.characters(codec="utf-8"), max_size=30).map(visible)
wide = st.text(st.sampled_from("模型名字在这里显示가나다かな漢字é́ש-לa b"), max_size=40)
figures = st.one_of(
    st.integers(-(2**63), 2**63).map(str),
    st.floats(-1e6, 1e6).map(lambda x: f"{x:.4g}"),
    st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100)).map(lambda x: "{:.1f}% [{:.1f}, {:.1f}]".format(*x)),
    st.datetimes().map(lambda x: x.isoformat()),
)
sentences = st.lists(words | figures, max_size=6).map(" ".join)
rows_of_cells = st.integers(1, 6).flatmap(lambda n: st.lists(st.tuples(*[words | wide | figures | sentences] * n), max_size=4))


@given(rows_of_cells, st.sampled_from([20, 40, 80, 120, 200]))
def test_no_number_is_cut_and_no_cell_lost_at_any_width(rows: list[tuple[str, ...]], width: int) -> None:
    names = [f"column {chr(65 + i)}" for i in range(len(rows[0]) if rows else 2)]
    numeric = [all(re.fullmatch(r"[\d.]*", row[i]) for row in rows) for i in range(len(names))]
    text = table(names, rows, numeric, width)
    found = numbers(text)
    for number in (number for row in rows for cell in row for number in numbers(cell)):
        assert number in found, (number, text)
        found.remove(number)
    shown = "".join(text.split())
    for cell in (cell for row in rows for cell in row):
        for character in cell:
            assert character.isspace() or character in shown
    for line in text.split("\n"):
        assert width_of(line) <= width or numbers(line), line


@given(sentences | wide, st.integers(2, 60))
def test_folded_lines_are_narrow_and_hold_the_whole_text(text: str, width: int) -> None:
    lines = fold(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert sorted(numbers(text)) == sorted(number for line in lines for number in numbers(line))
    assert all(width_of(line) <= width or re.search(r"\d|\\", line) for line in lines)


def test_widths_are_those_of_a_terminal() -> None:
    assert [width_of(text) for text in ("abc", "模型", "한글", "e\u0301", "שלום", "")] == [3, 4, 4, 1, 4, 0]
    assert [right_to_left(text) for text in ("abc 5", "模型", "שלום", "a م")] == [False, False, True, True]


def test_right_to_left_text_shares_no_line_with_numbers_of_other_columns() -> None:
    text = table(["name", "n"], [["שלום", "7"]], [False, True], 80)
    assert all(not (right_to_left(line) and numbers(line)) for line in text.split("\n"))


def test_a_pipe_gets_whole_rows(swept: Path) -> None:
    done = subprocess.run([ESPROBE, "--db", swept, "sql", "select * from arm_summary"], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["arm_id", "task", "model"]
    assert max(map(len, lines)) > 150


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize(
    "words",
    [
        ["runs"],
        ["sql", "select * from arm_summary"],
        ["sql", "select draw, seed, numbers, text, answer from rollout_text where seed is not null limit 3"],
        ["sql", "select 12345678901 as a, 12345678902 as b, 12345678903 as c, 12345678904 as d, 12345678905 as e, "
                "12345678906 as f, 12345678907 as g, 12345678908 as h"],
    ],
    ids=lambda words: " ".join(words)[:24],
)  # fmt: skip
def test_a_terminal_shows_every_number_whole(swept: Path, columns: int, words: list[str]) -> None:
    shown = on_terminal(columns, "--db", swept, *words)
    piped = subprocess.run([ESPROBE, "--db", swept, *words], capture_output=True, text=True).stdout
    assert max(map(width_of, shown.splitlines())) <= columns
    kept = [n for n in numbers(piped) if len(n) > 2]
    found = numbers(shown)
    assert not [number for number in kept if number not in found]


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_a_terminal_shows_every_arm_and_no_number_cut(swept: Path, columns: int) -> None:
    text = on_terminal(columns, "--db", swept, "report")
    assert max(map(width_of, text.splitlines())) <= columns
    for name in ("greedy", "T 0.6", "T 1.2", "σ 0.01", "σ 0.02", "countdown-tiny"):
        assert name in text
    for arm in load_arms(swept, Filter()):
        for at in arm.at.values():
            if at.k in (1, arm.draws):
                assert percent(at.pass_at_k) in text
                assert not at.interval or percent(at.pass_at_k, at.interval).partition(" ")[2] in text
    assert "pass@6" in text
    hidden = re.search(r"\(hidden: ([^;]+);", " ".join(text.split()))
    for column in ("draws", "solved", "tokens"):
        assert (column in (hidden[1] if hidden else "")) != bool(re.search(rf"\b{column}  |  {column}$", text, re.MULTILINE))


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_comparison_on_a_terminal_has_no_number_cut(swept: Path, columns: int) -> None:
    text = on_terminal(columns, "--db", swept, "report", "--compare")
    assert max(map(width_of, text.splitlines())) <= columns
    wide = on_terminal(200, "--db", swept, "report", "--compare")
    skipped = set(numbers(" ".join(line for line in wide.splitlines() if "bootstrap" in line)))
    found = set(numbers(text))
    for line in wide.splitlines():
        if re.match(r" +\d+  ", line):  # rows of the tables
            assert {n for n in numbers(line) if len(n) > 3} - found - skipped == set() or columns < 120


def test_long_and_wide_names_cut_no_number(tmp_path: Path) -> None:
    name = "Somebody/模型名字很长很长很长很长很长很长很长很长-With-A-Very-Long-Name-שלום-0.5B-Instruct-v2"
    settings = [(("dtype", "float16"), ("seed", 1)), (("dtype", "bfloat16"), ("seed", 2))]
    arms = [Made("temperature", 0.5, ["+-+-", "----"], name, s) for s in settings] + [
        Made("perturbation", 0.0005, ["+-+-", "-+--"], name)
    ]
    path = make(tmp_path / "r.db", [EASY, HARD], arms)
    for columns in (40, 80):
        text = on_terminal(columns, "--db", path, "report")
        assert max(map(width_of, text.splitlines())) <= columns
        assert name in "".join(text.split()).replace("─", "")
        for part in ("T 0.5 #1", "T 0.5 #2", "σ 0.0005", "dtype=float16 seed=1", "dtype=bfloat16 seed=2"):
            assert part in " ".join(text.split())
