"""The figures of the page are those of the views and the report, and it says where they come from."""

import json
import re
from pathlib import Path

from esprobe import __version__ as esprobe_version
from esprobe import results as esprobe_results
from esprobe.analysis import reading
from tests.conftest import Run
from tests.helpers.made import by_two_ways
from tests.helpers.page import PAIR, data, plain, written
from tests.helpers.wired import explore


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


def test_arms_that_never_solve_anything_and_one_problem(tmp_path: Path) -> None:
    core, blocks = written(tmp_path, ("temperature", 1.0, {0: "---"}), ("perturbation", 0.1, {0: "--"}))
    assert core["cells"] == [[[3, 0, None]], [[2, 0, None]]]
    assert [len(rows) for rows in blocks[0].values()] == [3, 2]


def test_only_one_method_and_different_problems(tmp_path: Path) -> None:
    core, _ = written(tmp_path, ("greedy", None, {0: "+"}), ("temperature", 0.3, {1: "+-"}), ("temperature", 0.4, {0: "--"}))
    assert core["cells"] == [[[1, 1, 0], None], [None, [2, 1, 0]], [[2, 0, None], None]]
    assert core["arms"][core["first"]]["name"] == "temperature T 0.3"


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


def test_members_of_trainings_are_no_arms_of_the_page(trained: Path, tmp_path: Path) -> None:
    explore(trained / "esprobe.db", tmp_path / "p.html")
    core, blocks = data(tmp_path / "p.html")
    assert {arm["model"] for arm in core["arms"]} == {"countdown-tiny", *(f"es-{seed}@{t}" for seed in (1, 2) for t in (1, 2))}
    assert {int(place) for block in blocks for place in block} == set(range(len(core["arms"])))
