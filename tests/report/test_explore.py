"""The page as a file: bounded, escaped, honest about what it leaves out, and the same again; clear words where it cannot be."""

import json
import math
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from esprobe import __version__ as esprobe_version
from esprobe import results as esprobe_results
from esprobe.analysis import reading
from esprobe.analysis.arms import Filter
from esprobe.analysis.comparison import compare
from esprobe.analysis.few import Few
from esprobe.errors import UserError
from esprobe.report.explore.page import MAX_BYTES
from esprobe.report.explore.shorten import ANSWER_BYTES, encoded, shorten, shorten_answer
from esprobe.report.explore.write import PER_CELL
from esprobe.tasks.base import Facts
from tests.conftest import Run
from tests.helpers.errors import one_line_error
from tests.helpers.made import HOSTILE, by_two_ways, make
from tests.helpers.wired import explore
from tests.report.test_plots import Made
from tests.report.test_plots import make as make_models

PAIR = [("temperature", 0.5, {0: "+---", 1: "++--", 2: "----"}), ("perturbation", 0.01, {0: "----", 1: "+---", 2: "----"})]


def data(page: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the page's data elements hold: the core, and the rollouts by problem."""
    found = re.findall(r'<script type="application/json" id="([a-z0-9-]+)">(.*?)</script>', page.read_text(), re.DOTALL)
    assert [name for name, _ in found] == ["core", *(f"rollouts-{i}" for i in range(len(found) - 1))]
    core, *blocks = [json.loads(text) for _, text in found]
    return core, blocks


def plain(said: list[str]) -> list[str]:
    """Sentences with spaces that lines may break at."""
    return [one.replace("\u00a0", " ") for one in said]


def written(tmp_path: Path, *arms: Any, per_cell: int = 4, **made: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    make(tmp_path / "r.db", list(arms), **made)
    explore(tmp_path / "r.db", tmp_path / "p.html", per_cell=per_cell)
    return data(tmp_path / "p.html")


def test_the_page_holds_what_the_views_hold(swept: Path, tmp_path: Path) -> None:
    said = explore(swept, tmp_path / "p.html")
    core, blocks = data(tmp_path / "p.html")
    assert re.search(r"with 5 arms, 12 problems and \d+ of 300 rollouts$", said)
    connection = reading.open_database(swept)
    arm_ids = [arm["id"] for arm in core["arms"]]
    problem_ids = [problem["id"] for problem in core["problems"]]
    for arm_id, problem_id, n, c in reading.query(connection, "SELECT arm_id, problem_id, n, c FROM solved")[1]:
        sql = "SELECT min(draw) FROM score WHERE arm_id = ? AND problem_id = ? AND correct = 1"  # draws are numbered from 0
        ((first,),) = reading.query(connection, sql, [arm_id, problem_id])[1]
        assert core["cells"][arm_ids.index(arm_id)][problem_ids.index(problem_id)] == [n, c, first]
    sql = "SELECT correct, answer, text, reason, seed, ballot FROM rollout_text WHERE arm_id = ? AND problem_id = ? AND draw = ?"
    for problem_id, block in zip(problem_ids, blocks, strict=True):
        for place, rows in block.items():
            for draw, correct, reason, answer, seed, _, _, text, ballot in rows:
                (row,) = reading.query(connection, sql, [arm_ids[int(place)], problem_id, draw])[1]
                assert row == (correct, answer, text, reason, seed, ballot)
    by_method = {core["arms"][core[side]]["name"].split()[0] for side in ("first", "second")}
    assert by_method == {"temperature", "perturbation"}


def test_the_page_holds_the_votes_of_the_views_by_every_ballot_that_there_is(tmp_path: Path) -> None:
    core, _ = written(tmp_path, ("greedy", None, {0: "+", 1: "-", 2: "-"}), *PAIR, voted=by_two_ways)
    connection = reading.open_database(tmp_path / "r.db")
    for by, view in (("value", "vote_at_k"), ("expression", "vote_at_k_by_expression")):
        for arm in core["arms"]:
            sql = f"SELECT k, vote_at_k FROM {view} WHERE arm_id = ? ORDER BY k"
            rows = [list(row) for row in reading.query(connection, sql, [arm["id"]])[1]]
            shown = [[k, vote] for k, vote, *_ in arm["votes"].get(by, [])]
            assert shown == (rows if arm["draws"] > 1 else [])  # a single draw has nothing to outvote
    (tmp_path / "plain").mkdir()
    core, _ = written(tmp_path / "plain", *PAIR)
    assert [list(arm["votes"]) for arm in core["arms"]] == [["value"], ["value"]]


def test_the_page_holds_the_intervals_of_the_report(swept: Path, tmp_path: Path) -> None:
    explore(swept, tmp_path / "p.html")
    core, _ = data(tmp_path / "p.html")
    results = esprobe_results(swept)
    passed = {(row.arm_id, row.k): row for row in results.pass_at_k()}
    voted = {(row.arm_id, row.by, row.k): row for row in results.vote_at_k()}
    for arm in core["arms"]:
        for k, share, chance, *ends in arm["at"]:
            row = passed[arm["id"], k]
            assert [share, chance] == [row.pass_at_k, row.chance]
            assert ends == ([] if row.low is None else [row.low, row.high, row.doubt])
        for by, curve in arm["votes"].items():
            for k, share, *ends in curve:
                row = voted[arm["id"], by, k]
                assert [share, *ends] == [row.vote_at_k, *([] if row.low is None else [row.low, row.high, row.doubt])]


def test_the_page_says_where_its_figures_come_from(swept: Path, tmp_path: Path) -> None:
    explore(swept, tmp_path / "p.html")
    core, _ = data(tmp_path / "p.html")
    assert core["origin"]["database"] == "esprobe.db"
    assert core["origin"]["runs"] == 2
    assert core["origin"]["began"] < core["origin"]["ended"]
    assert core["origin"]["versions"]["esprobe"] == [esprobe_version]
    settings = {key: (value, arms) for key, value, arms in core["settings"]}
    assert settings["dtype"] == ("float32", list(range(5)))
    assert settings["noise"] == ("iid", [3, 4])
    assert "create an equation that equals" in core["prompt"]["messages"][1]
    assert core["prompt"]["prefill"].endswith("<think>")


def test_links_name_problems_and_arms_by_their_digests(swept: Path, tmp_path: Path) -> None:
    explore(swept, tmp_path / "p.html")
    core, _ = data(tmp_path / "p.html")
    for table, rows in (("problem", core["problems"]), ("arm", core["arms"])):
        known = dict(reading.query(reading.open_database(swept), f"SELECT id, substr(digest, 1, 12) FROM {table}")[1])
        assert [row["link"] for row in rows] == [known[row["id"]] for row in rows]


def test_the_page_opens_with_the_best_arm_of_each_method(tmp_path: Path) -> None:
    worse = ("temperature", 0.2, {0: "+---", 1: "----", 2: "----"})
    core, _ = written(tmp_path, worse, *PAIR, ("perturbation", 0.02, {0: "----", 1: "----", 2: "----"}))
    assert [core["arms"][core[side]]["name"] for side in ("first", "second")] == ["temperature T 0.5", "perturbation σ 0.01"]


def test_the_page_opens_with_the_arms_that_the_comparison_names(swept: Path, tmp_path: Path) -> None:
    explore(swept, tmp_path / "p.html")
    core, _ = data(tmp_path / "p.html")
    (compared,) = compare(reading.open_database(swept), Filter())
    assert [core["arms"][core[side]]["id"] for side in ("first", "second")] == [compared.first.arm_id, compared.second.arm_id]


def test_the_page_says_what_the_comparison_finds(swept: Path, tmp_path: Path) -> None:
    explore(swept, tmp_path / "p.html")
    core, _ = data(tmp_path / "p.html")
    (compared,) = compare(reading.open_database(swept), Filter())
    last = compared.steps[-1].difference
    (said,) = plain(core["found"])
    assert f"at k = {last.k}" in said
    low, high = sorted(abs(round(100 * end, 1)) for end in last.interval)
    for points in (abs(last.difference) * 100, low, high):
        assert f"{points:.1f}" in said
    explore(make(tmp_path / "one.db", PAIR[:1]), tmp_path / "p.html")
    assert data(tmp_path / "p.html")[0]["found"] == []


@pytest.mark.parametrize(
    ("greedy", "says"), [("-", "No draw of any arm is correct."), ("+", "No draw of T 0.5 or σ 0.01 is correct.")]
)
def test_the_page_says_plainly_that_nothing_is_correct(tmp_path: Path, greedy: str, says: str) -> None:
    wrong = [(method, value, {0: "--", 1: "--"}) for method, value, _ in PAIR]
    assert plain(written(tmp_path, ("greedy", None, {0: greedy, 1: "-"}), *wrong)[0]["found"]) == [says]


def test_the_page_says_something_of_each_model_with_both_methods(tmp_path: Path) -> None:
    def said(models: str) -> list[str]:
        arms = [Made(method, 0.5, 4, model=model) for model in models for method in ("temperature", "perturbation")]
        make_models(tmp_path / f"{models}.db", [*arms, Made("temperature", 0.5, 4, model="z")], 8)
        explore(tmp_path / f"{models}.db", tmp_path / "p.html")
        return plain(data(tmp_path / "p.html")[0]["found"])

    assert [one.partition(":")[0] for one in said("ab")] == ["a", "b"]
    assert [one.partition(":")[0] for one in said("abcdef")] == ["a", "b", "c", "d", "2 more models in the table."]


def test_an_arm_with_more_draws_is_not_opened_for_having_had_more_tries(tmp_path: Path) -> None:
    more = ("temperature", 0.9, dict.fromkeys(range(3), "-" * 9 + "+"))  # solves all, with ten draws
    few = ("temperature", 0.5, {0: "++--", 1: "++--", 2: "----"})
    core, _ = written(tmp_path, more, few, ("temperature", 0.4, {0: "----", 1: "+---", 2: "----"}), PAIR[1])
    assert core["arms"][core["first"]]["name"] == "temperature T 0.5"


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


def test_the_same_database_gives_the_same_bytes(swept: Path, tmp_path: Path) -> None:
    explore(swept, tmp_path / "a.html")
    explore(swept, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


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


def test_one_arm_stands_beside_itself(tmp_path: Path) -> None:
    core, _ = written(tmp_path, PAIR[0])
    assert (len(core["arms"]), core["first"], core["second"]) == (1, 0, 0)


def test_arms_that_never_solve_anything_and_one_problem(tmp_path: Path) -> None:
    core, blocks = written(tmp_path, ("temperature", 1.0, {0: "---"}), ("perturbation", 0.1, {0: "--"}))
    assert core["cells"] == [[[3, 0, None]], [[2, 0, None]]]
    assert [len(rows) for rows in blocks[0].values()] == [3, 2]


def test_only_one_method_and_different_problems(tmp_path: Path) -> None:
    core, _ = written(tmp_path, ("greedy", None, {0: "+"}), ("temperature", 0.3, {1: "+-"}), ("temperature", 0.4, {0: "--"}))
    assert core["cells"] == [[[1, 1, 0], None], [None, [2, 1, 0]], [[2, 0, None], None]]
    assert core["arms"][core["first"]]["name"] == "temperature T 0.3"


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


def test_the_command_writes_the_page_and_says_how_much_is_in_it(swept: Path, tmp_path: Path, esprobe: Run) -> None:
    done = esprobe("--db", swept, "explore")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"esprobe\.html: 0\.\d MB with 5 arms, 12 problems and \d+ of 300 rollouts\n", done.stdout)
    assert (tmp_path / "esprobe.html").read_text().startswith("<!doctype html>")
    assert f"at most. [{PER_CELL}]" in esprobe("explore", "--help", env={"COLUMNS": "200"}).stdout


def test_arms_are_chosen_as_in_the_report(swept: Path, tmp_path: Path, esprobe: Run) -> None:
    for words, arms, method in ((["--method", "temperature"], 2, "temperature"), (["--value", "0.01"], 1, "perturbation")):
        assert esprobe("--db", swept, "explore", *words, "--model", "TINY", "--task", "countdown").returncode == 0
        core, _ = data(tmp_path / "esprobe.html")
        assert [arm["name"].split()[0] for arm in core["arms"]] == [method] * arms
    assert "with 2 arms" in esprobe("--db", swept, "explore", "--arm", "1,3").stdout
    assert "no arm passes these filters" in one_line_error(esprobe("--db", swept, "explore", "--model", "nobody"), 1)
    assert "there is no arm 99" in one_line_error(esprobe("--db", swept, "explore", "--arm", "99"), 1)
    assert "there is no method" in one_line_error(esprobe("--db", swept, "explore", "--method", "magic"), 2)


def test_a_training_is_shown_as_the_budget_reports_it(trained: Path, tmp_path: Path, esprobe: Run) -> None:
    explore(trained / "esprobe.db", tmp_path / "p.html")
    core, _ = data(tmp_path / "p.html")
    (training,) = core["trainings"]
    reported = esprobe("--db", trained / "esprobe.db", "report", "--budget").stdout
    assert all(said in reported for said in plain([*training["said"], *training["notes"]]))
    curves = {series["name"]: series["points"] for series in training["learning"]}
    assert [x for x, *_ in curves["greedy, on test problems"]] == [0, 1, 2]
    assert [x for x, *_ in curves["vote@2, on test problems"]] == [1, 2]
    assert [len(curves[f"members of es-{seed}, on training problems"]) for seed in (1, 2)] == [2, 2]
    records = json.loads(esprobe("--db", trained / "esprobe.db", "report", "--budget", "--format", "json").stdout)
    wanted = {(r["rollouts_total"], r["value"], r["low"], r["high"]) for r in records if r["measure"] == "pass"}
    shown = [tuple(point[:4]) for series in training["budget"][1]["series"] for point in series["points"]]
    assert set(shown) <= wanted
    assert len(training["budget"][1]["series"]) == 7
    banded = [series["name"] for series in training["budget"][1]["series"] if series["band"]]
    assert banded == ["samples", "trained, 2 samples"]
    first, second = (core["arms"][core[side]]["name"] for side in ("first", "second"))
    assert (first.split(": ")[0], second.split(": ")[0]) == ("countdown-tiny", "countdown-tiny")


def test_a_trained_model_opens_next_to_its_base(trained: Path, tmp_path: Path, esprobe: Run) -> None:
    assert esprobe("--db", trained / "esprobe.db", "explore", "--method", "temperature,greedy").returncode == 0
    core, _ = data(tmp_path / "esprobe.html")
    shown = [core["arms"][core[side]] for side in ("first", "second")]
    assert [arm["short"] for arm in shown] == ["es-1@2 T 0.8", "countdown-tiny T 0.8"]


def test_members_of_trainings_are_no_arms_of_the_page(trained: Path, tmp_path: Path) -> None:
    explore(trained / "esprobe.db", tmp_path / "p.html")
    core, blocks = data(tmp_path / "p.html")
    assert {arm["model"] for arm in core["arms"]} == {"countdown-tiny", *(f"es-{seed}@{t}" for seed in (1, 2) for t in (1, 2))}
    assert {int(place) for block in blocks for place in block} == set(range(len(core["arms"])))


def test_the_page_is_opened_where_there_is_a_browser(swept: Path, tmp_path: Path, esprobe: Run) -> None:
    assert esprobe("--db", swept, "explore", "--open", env={"BROWSER": "true"}).returncode == 0


def test_errors_are_one_line_that_says_what_to_do(swept: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results yet; run"):
        explore(tmp_path / "none.db", tmp_path / "p.html")
    with pytest.raises(UserError, match="no rollouts scored by 'mine'"):
        explore(swept, tmp_path / "p.html", scorer="mine")
    with pytest.raises(UserError, match=r"cannot be written .*; name another file with --out"):
        explore(swept, tmp_path / "no-such-folder/p.html")
    with pytest.raises(UserError, match="is a database or belongs to one"):
        explore(swept, swept)
    assert not list(tmp_path.glob("*"))
