"""The page as a file: bounded, escaped, the same again, and honest about the rollouts that it leaves out."""

import json
import math
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from esprobe.analysis.few import Few
from esprobe.report.explore.page import MAX_BYTES
from esprobe.report.explore.shorten import ANSWER_BYTES, encoded, shorten, shorten_answer
from esprobe.tasks.base import Facts
from tests.helpers.made import HOSTILE, make
from tests.helpers.page import PAIR, data, written
from tests.helpers.wired import explore


def test_the_same_database_gives_the_same_bytes(swept: Path, tmp_path: Path) -> None:
    explore(swept, tmp_path / "a.html")
    explore(swept, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_numbers_that_a_browser_would_change_are_null_or_text() -> None:
    numbers = [math.inf, -math.inf, math.nan, 0.5, 2**53, 2**53 + 1, -(2**60), True, {"a": math.nan}]
    assert json.loads(encoded(numbers)) == [None, None, None, 0.5, 2**53, str(2**53 + 1), str(-(2**60)), True, {"a": None}]


def test_the_page_of_an_infinite_chance_and_payload_is_json(tmp_path: Path) -> None:
    make(tmp_path / "r.db", PAIR)
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection, connection:
        connection.execute('UPDATE problem SET chance = 9e999, payload = \'{"target": 1e999, "n": 12345678901234567890}\'')
    explore(tmp_path / "r.db", tmp_path / "p.html")
    core, _ = data(tmp_path / "p.html")
    assert core["problems"][0]["payload"] == {"target": None, "n": "12345678901234567890"}
    assert core["problems"][0]["chance"] is None
    assert "Infinity" not in (tmp_path / "p.html").read_text().split("<script>")[0]


def test_names_show_what_is_invisible_as_its_code(tmp_path: Path) -> None:
    make(tmp_path / "r.db", PAIR)
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection, connection:
        connection.execute("UPDATE model SET name = ?", ["a\u202eb\u200bc\U000e0041d\ufe0fe"])
    explore(tmp_path / "r.db", tmp_path / "p.html")
    html = (tmp_path / "p.html").read_text()
    assert not set("\u202e\u200b\U000e0041\ufe0f") & set(html)
    core, _ = data(tmp_path / "p.html")
    assert core["arms"][0]["model"] == r"a\u202eb\u200bc\U000e0041d\ufe0fe"
    assert re.search(r"<title>esprobe: a\\u202eb", html)


def test_hostile_text_cannot_leave_its_data_element(tmp_path: Path) -> None:
    make(tmp_path / "r.db", PAIR, text=lambda *_: HOSTILE, answer="</script><b>", facts=[Facts(True, "<i>&", 0.1)])
    explore(tmp_path / "r.db", tmp_path / "p.html")
    html = (tmp_path / "p.html").read_text()
    assert html.count("<script") == html.count("</script>") == 3 + 2
    assert not {"\u2028", "\u2029"} & set(html)
    assert "onerror=" in html
    assert "<img" not in html
    assert "<!--" not in html
    _, blocks = data(tmp_path / "p.html")
    assert blocks[0]["0"][0][7] == HOSTILE
    assert blocks[0]["0"][0][3] == "</script><b>"


def test_the_policy_allows_nothing_but_the_pages_own_script_and_style(swept: Path, tmp_path: Path) -> None:
    explore(swept, tmp_path / "p.html")
    html = (tmp_path / "p.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy
    own = re.sub(r'<script type="application/json".*?</script>', "", html, flags=re.DOTALL)
    assert not re.search(r"<(?:link|img|iframe|object|form)\b|\bon\w+=\"|\bstyle=\"", own)
    assert set(re.findall(r"https?://[^\"' ]*", own)) == {"http://www.w3.org/2000/svg"}  # the name of SVG, not an address
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(", own)


@pytest.mark.parametrize("character", ["x", "<", "\u2028", "é", "𝄞", "\u0000"])
def test_the_file_is_bounded_whatever_the_texts_hold(tmp_path: Path, character: str) -> None:
    cells = dict.fromkeys(range(40), "+-" * 8)
    arms = [("temperature", 0.1 * i, cells) for i in range(1, 9)]
    core, _ = written(tmp_path, *arms, per_cell=16, text=lambda *_: character * 6000, answer=character * 300)
    assert 1_000_000 < (tmp_path / "p.html").stat().st_size <= MAX_BYTES
    assert core["leftOut"]["shortened"] == core["leftOut"]["shown"]


def test_where_many_do_not_fit_there_are_fewer_and_the_page_says_so(tmp_path: Path) -> None:
    cells = dict.fromkeys(range(400), "+-" * 20)
    core, _ = written(tmp_path, ("temperature", 0.1, cells), ("temperature", 0.2, cells), per_cell=40)
    left = core["leftOut"]
    assert (left["asked"], left["rollouts"]) == (40, 32_000)
    assert 1 <= left["perCell"] < 40
    assert left["shown"] == 800 * left["perCell"]


def test_no_rollouts_at_all_when_none_are_asked_for(tmp_path: Path) -> None:
    core, blocks = written(tmp_path, *PAIR, per_cell=0)
    assert core["leftOut"]["shown"] == 0
    assert blocks == [{}, {}, {}]


def verdicts(words: str) -> list[Any]:
    """ "+a -b" is a correct draw with answer a, and a wrong one with answer b."""
    return [(1, i, int(w[0] == "+"), "reason", w[1:]) for i, w in enumerate(words.split())]


@pytest.mark.parametrize(
    ("cell", "most", "draws"),
    [
        ("-a -a -b +c", 4, [3, 0, 1, 2]),  # all of them, correct first
        ("+a +a +b -c -c -d", 4, [0, 2, 3, 5]),  # half and half, different answers first
        ("+a +a +a +a -b", 4, [0, 1, 2, 4]),  # more of one where the other has too few
        ("-a -a -a -b", 2, [0, 3]),
        ("+a -b", 1, [0]),
        ("-a -b", 1, [0]),
    ],
)
def test_chosen_are_half_correct_half_wrong_and_different_answers_first(cell: str, most: int, draws: list[int]) -> None:
    few = Few(most)
    for verdict in verdicts(cell):
        few.add(verdict)
    assert [verdict[1] for verdict in few.chosen()] == draws


@pytest.mark.parametrize("text", ["", "short", "x" * 5000, "<&>" * 700, "é" * 3000, "𝄞\u2028" * 900, "a" * 900 + "<" * 900])
def test_a_shortened_text_keeps_start_and_end_within_its_bytes(text: str) -> None:
    cut = shorten(text, 1000)
    if isinstance(cut, str):
        assert cut == text
        assert len(encoded(text).encode()) <= 1002
    else:
        head, left_out, tail = cut
        assert len(head) + left_out + len(tail) == len(text)
        assert text.startswith(head)
        assert text.endswith(tail)
        assert tail
        assert 700 < len(encoded(head + tail).encode()) <= 1004
    assert len(encoded(shorten_answer(text)).encode()) <= ANSWER_BYTES + 5
