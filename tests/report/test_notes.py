"""The notes under a table: what is not trustworthy, cut off or alike is said, and what is not shown is not explained."""

import csv
import io
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.analysis.arms import Filter
from tests.helpers.judged import EASY, HARD, Made, make
from tests.helpers.terminal import on_terminal
from tests.helpers.wired import compare_report, report


def test_rollouts_that_ended_in_no_number_or_at_the_limit_are_told_with_their_share(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [EASY, HARD], [Made("temperature", 0.5, ["nnn+", "n---"]), Made("greedy", None, "+l")])
    text = report(path)
    assert "nan: rollouts of T 0.5 (50.0%) ended because the model's output was not a number (NaN)" in text
    assert "cut off: rollouts of greedy (50.0%) reached --max-new-tokens, or filled the context, before" in text
    records = json.loads(report(path, Filter(), (), "json"))
    assert {(r["method"], r["nan"], r["cut_off"]) for r in records} == {("greedy", 0, 1), ("temperature", 4, 0)}
    assert "nan:" not in report(make(tmp_path / "s.db", [EASY, HARD], [Made("greedy", None, "+-")]))


def test_few_models_are_told_and_a_single_one_has_no_interval(tmp_path: Path) -> None:
    facts = [EASY, HARD] * 4
    arms = [Made("perturbation", 0.1, ["+", "-"] * 4), Made("perturbation", 0.2, ["+-++", "--+-"] * 4)]
    path = make(tmp_path / "r.db", facts, arms)
    text = report(path)
    assert "1 model: σ 0.1 has no interval" in text
    assert re.search(r"not trustworthy: the interval of σ 0.2 at k = 1 and 4: few models \(4\)", text)
    one, *rest = json.loads(report(path, Filter(), (), "json"))
    assert (one["low"], one["high"], one["above_chance_low"]) == (None, None, None)
    assert all(r["low"] is not None and r["doubt"] == "few models (4)" for r in rest)
    read = list(csv.DictReader(io.StringIO(report(path, Filter(), (), "csv"))))
    assert [float(r["pass_at_k"]) for r in read] == [r["pass_at_k"] for r in (one, *rest)]
    assert {"task", "over_chance", "above_chance", "unknown", "cut_off", "nan"} <= set(read[0])


def test_draws_that_never_differ_are_told(tmp_path: Path) -> None:
    arms = [Made("perturbation", 0.0, ["++++", "----"]), Made("temperature", 1.0, ["+-++", "----"])]
    text = report(make(tmp_path / "r.db", [EASY, HARD], arms))
    assert "all alike: the draws of σ 0 agree on every problem, as if there were only one." in text


def test_what_rounding_leaves_of_sigma_is_told_where_it_is_off(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [EASY, HARD], [Made("perturbation", 0.001, ["+-", "-+"], settings=(("dtype", "bfloat16"),))])
    groups = {
        "matrices": {"weights": 9, "sigma": 1.02, "unchanged": 0.01},
        "norms": {"weights": 3, "sigma": 0.4, "unchanged": 0.75},
    }
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE arm SET rounding = ?", [json.dumps({"groups": groups})])
    text = report(path)
    assert "rounding: with bfloat16 σ 0.001 perturbs differently than asked: norms (σ × 0.40, 75.0% unchanged)." in text
    assert "matrices" not in text


def test_two_arms_of_the_same_directions_are_said_not_to_be_independent(tmp_path: Path) -> None:
    arms = [Made("perturbation", sigma, ["+-+-", "-+--"]) for sigma in (0.01, 0.02)]
    path = make(tmp_path / "r.db", [EASY, HARD], arms)
    text = compare_report(path, Filter(), (1, 2), (), "table")
    assert "shared directions: 4 models of either arm have the same seeds" in text
    assert "McNemar's test is left out" in text
    assert "not trustworthy: the interval at k = 1, 2, 4: few models (4)" in text


@pytest.mark.parametrize("verdicts", ["+-", "oo"])
def test_votes_are_doubted_where_there_are_any(verdicts: str, tmp_path: Path) -> None:
    text = report(make(tmp_path / "r.db", [EASY, HARD], [Made("perturbation", 0.1, [verdicts] * 2)]))
    assert ("vote@k" in text) == ("1 block: vote@k" in text) == (verdicts != "oo")


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_notes_explain_the_columns_that_are_shown_and_no_other(columns: int, tmp_path: Path) -> None:
    drawn = ["+-+-+---", "-+------", "+++-----", "--------"]
    arms = [Made("greedy", None, ["+", "-", "+", "-"]), Made("temperature", 0.5, drawn), Made("temperature", 1.0, drawn[::-1])]
    path = make(tmp_path / "r.db", [EASY, HARD] * 2, arms)
    lines = on_terminal(columns, "--db", path, "report", "--compare", "--arm", "2", "--arm", "3").splitlines()
    header = next((line.split() for line in lines if line.startswith(" k ")), [])
    notes = {line.split(":")[0] for line in lines if ":" in line} | set(re.findall(r"(p|bootstrap|greedy\+): ", " ".join(lines)))
    for column in ("p", "bootstrap", "union", "greedy+"):
        blocks = any(line.startswith(f" {column} ") for line in lines)  # where no row fits
        assert (column in notes) == (column in header or blocks), (column, header)
    assert ("union" in header) == (columns > 40)


def test_a_comparison_explains_no_chance_that_is_not_known_and_shows_no_power_of_ten(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.5, ["+-" * 8] * 20), Made("perturbation", 0.1, ["+-" * 8] * 20)]
    path = make(tmp_path / "r.db", [EASY, HARD] * 10, arms, scorer="countdown-published")
    text = compare_report(path, Filter("countdown-published"))
    assert "cover@τ: the share of problems of which at least a share τ of the draws is right. A τ below 2/16" in text
    assert "chance" not in text
    assert "(p < 0.0001 of none)" in text
