"""The report's tables: what is said of every arm and of guessing, in every format; nothing unknown is claimed."""

import json
import re
from pathlib import Path

import pytest

from esprobe.analysis.arms import ArmRow, Filter
from esprobe.analysis.baselines import Tried, chance_at, distinct_at, greedy_at
from esprobe.errors import UserError
from esprobe.report.words import percent, points
from tests.conftest import Run, run_esprobe
from tests.helpers.judged import EASY, HARD, IMPOSSIBLE, UNKNOWN, Made, make
from tests.helpers.wired import compare_report, load_arms, report, save_plots


def row(text: str, name: str) -> list[str]:
    """The cells of the first row of this name, without intervals."""
    line = next(line for line in text.splitlines() if line.startswith(f" {name} "))
    return re.sub(r"\[[^\]]*\]", "", line.removeprefix(f" {name} ")).split()


def test_above_chance_is_paired_by_problem_and_each_column_has_one_k(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [EASY, HARD], [Made("temperature", 0.5, ["++", "--"]), Made("greedy", None, ["+", "-"])])
    records = json.loads(report(path, Filter(), (), "json"))
    one, two = (next(r for r in records if r["method"] == "temperature" and r["k"] == k) for k in (1, 2))
    assert one["above_chance"] == pytest.approx((1 - 0.25 + 0 - 0.01) / 2, abs=1e-12)
    assert two["above_chance"] == pytest.approx((1 - (1 - 0.75**2) + 0 - (1 - 0.99**2)) / 2, abs=1e-12)
    assert two["above_chance_low"] < two["above_chance"] < two["above_chance_high"]
    text = report(path)
    assert "over chance" not in text
    assert "doing" not in text
    assert [line for line in text.splitlines() if line.split() == ["arm", "k", "=", "1", "k", "=", "2"]]


def test_baselines_that_need_no_skill_equal_their_formulas(tmp_path: Path) -> None:
    tried = [Tried(1, 4, 2, True, 0.25, 10, None), Tried(2, 4, 0, True, 0.01, 500, None), Tried(3, 4, 0, False, 0.0, 10, None)]
    assert chance_at(tried, 4) == pytest.approx((1 - 0.75**4 + 1 - 0.99**4 + 0) / 3, abs=1e-12)
    assert distinct_at(tried, 4) == pytest.approx((1 - 0.9**4 + 1 - 0.998**4 + 0) / 3, abs=1e-12)
    assert greedy_at(tried, {1: 1.0, 2: 0.0, 3: 0.0}, 4) == pytest.approx((1 + 1 - 0.99**3 + 0) / 3, abs=1e-12)
    assert greedy_at(tried, {1: 1.0}, 4) is None
    facts = [EASY, HARD, IMPOSSIBLE]
    path = make(tmp_path / "r.db", facts, [Made("greedy", None, "+--"), Made("temperature", 0.5, ["++--", "----", "----"])])
    text = report(path, ks=[4])
    assert row(text, "chance") == [percent(chance_at(tried, 4) or 0)]
    assert row(text, "values") == [percent(distinct_at(tried, 4) or 0)]
    assert row(text, "greedy+") == [percent(greedy_at(tried, {1: 1.0, 2: 0.0, 3: 0.0}, 4) or 0)]
    assert "guessing alone" in text
    filtered = report(path, Filter(methods=("temperature",)))
    assert row(filtered, "greedy+")
    assert "greedy+: the greedy answer" in filtered


def test_proven_unknown_and_impossible_problems_are_told_apart(tmp_path: Path) -> None:
    arm = [Made("temperature", 0.5, ["+-", "--", "--", "--"])]
    known = report(make(tmp_path / "a.db", [EASY, HARD, IMPOSSIBLE, EASY], arm))
    assert "ceiling: 3 of 4 problems (75.0%) can be solved, 1 is proven impossible" in known
    bound = report(make(tmp_path / "b.db", [EASY, UNKNOWN, IMPOSSIBLE, EASY], arm))
    assert "2 are proven solvable, 1 proven impossible and 1 unknown, so at most 75.0% can be solved" in bound
    assert "can be solved, " not in bound
    assert row(bound, "at most") == ["75.0%", "75.0%", "3"]
    nothing = report(make(tmp_path / "c.db", [UNKNOWN] * 4, arm))
    assert not re.search(r"can be solved|ceiling:|guessing alone", nothing)


def test_a_scorer_without_a_proof_of_its_own_has_no_chance_and_no_ceiling(tmp_path: Path) -> None:
    arms = [Made("greedy", None, "++"), Made("temperature", 0.5, ["+-", "--"]), Made("perturbation", 0.1, ["+-", "--"])]
    path = make(tmp_path / "r.db", [EASY, HARD], arms, scorer="countdown-published")
    chosen = Filter("countdown-published")
    text = report(path, chosen)
    assert not re.search(r"^ (chance|values|ceiling|at most|greedy\+)", text, re.MULTILINE)
    assert "chance and ceiling are not known under countdown-published" in text
    records = json.loads(report(path, chosen, (), "json"))
    assert {(r["chance"], r["above_chance"], r["solvable"], r["unknown"]) for r in records} == {(None, None, 0, 2)}
    assert len(save_plots(path, chosen, tmp_path / "plots")) > 5
    svg = (tmp_path / "plots/m-pass-at-k-overlaid.svg").read_text()
    assert "chance" not in svg
    assert "ceiling" not in svg


def test_a_k_beyond_the_draws_has_no_column_and_is_said(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [EASY, HARD], [Made("temperature", 0.5, ["+-", "--"]), Made("greedy", None, "+-")])
    text = report(path, ks=[1, 10, 20])
    assert "pass@1 " in text
    assert "note: no arm has more than 2 draws, so there is no pass@10 or pass@20." in text
    assert "k = 10" not in text
    alone = report(path, ks=[10])
    assert row(alone, "T 0.5") == ["2", "1", "3.0"]
    assert "Above chance" not in alone
    assert "[low, high]" not in alone
    compared = compare_report(path, pair=(1, 2), ks=(1, 10))
    assert "note: both arms have only 1 draw, so there is no pass@10." in compared


def test_of_several_models_every_column_and_note_says_whose_it_is(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.5, ["+-" * 8] * 4, "base"), Made("temperature", 0.5, ["+l+", "--l"], "other")]
    path = make(tmp_path / "r.db", [EASY, HARD] * 2, arms)
    base, other = report(path).split("other: countdown, 2 problems")
    assert re.findall(r"pass@\d+", base.splitlines()[2]) == ["pass@1", "pass@8", "pass@16"]
    assert re.findall(r"pass@\d+", other.splitlines()[2]) == ["pass@1", "pass@3"]
    assert "at k = 16 on the problems of base." in other
    assert "ceiling (base): 4 of 4 problems" in other
    assert "ceiling (other): 2 of 2 problems" in other
    assert "cut off: rollouts of other T 0.5 (33.3%) reached" in other
    assert "#" not in other
    assert "note: no arm of other has more than 3 draws, so there is no pass@8." in report(path, ks=[8])
    assert not re.search(r"\(base\)|on the problems of", report(path, Filter(model="base")))


def test_where_nothing_is_correct_the_report_says_so_and_has_no_tables_of_zeros(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.5, ["----"] * 4), Made("perturbation", 0.1, ["----"] * 4)]
    path = make(tmp_path / "r.db", [EASY, HARD] * 2, arms)
    text = report(path)
    assert text.splitlines()[2].startswith("No rollout of these arms is correct; `esprobe sql")
    assert run_esprobe("--db", path, "sql", text.split("`")[1].split('"')[1]).stdout.split()[-2:] == ["wrong_value", "32"]
    assert row(text, "chance")
    compared = compare_report(path)
    for said in (text, compared):
        assert not re.search(r"vote@k|won|winner's curse|Best models|by kind of problem|cover@", said)
    assert "No rollout" not in report(make(tmp_path / "s.db", [EASY], [Made("greedy", None, "+")]))


def test_one_of_a_kind_is_no_plural(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [EASY], [Made("temperature", 0.5, ["+"]), Made("perturbation", 0.1, ["-"])])
    for text in (report(path), compare_report(path), *save_plots(path, None, tmp_path / "plots")):
        assert not re.search(r"\b1 (problems|draws|models|arms|are|have)\b", text), text


def test_nothing_is_above_chance_by_more_than_is_possible(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [EASY, HARD, EASY], [Made("temperature", 0.5, ["++", "++", "+-"])])
    for record in json.loads(report(path, style="json")):
        assert -record["chance"] <= record["above_chance_low"] <= record["above_chance_high"] <= 1 - record["chance"] + 1e-15


def test_strata_are_compared_at_one_k(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.5, ["++", "--", "+-"]), Made("greedy", None, "+--")]
    text = report(make(tmp_path / "r.db", [EASY, HARD, EASY], arms))
    part = text[text.index("pass@2 by kind of problem") :]
    assert "3 numbers (2)" in part
    assert row(part, "T 0.5") == ["100.0%", "0.0%"]
    assert row(part, "chance") == [percent(1 - 0.75**2), percent(1 - 0.99**2)]
    assert "by kind of problem" not in report(make(tmp_path / "s.db", [EASY, EASY], [Made("temperature", 0.5, ["++", "--"])]))


def test_filters_hold_for_the_table_the_plots_and_the_comparison(esprobe: Run, swept: Path, tmp_path: Path) -> None:
    arms = {arm.arm_id: arm for arm in load_arms(swept, Filter())}

    def passing(chosen: Filter) -> list[ArmRow]:
        return load_arms(swept, chosen)

    assert [a.arm_id for a in passing(Filter(arms=(2, 4)))] == [2, 4]
    assert passing(Filter(task="countdown")) == list(arms.values())
    with pytest.raises(UserError, match="no arm passes"):
        passing(Filter(task="gsm8k"))
    with pytest.raises(UserError, match="there is no arm 99 here"):
        passing(Filter(arms=(99,)))
    records = json.loads(esprobe("--db", swept, "report", "--arm", "2", "--arm", "4", "--format", "json").stdout)
    assert {r["arm_id"] for r in records} == {2, 4}
    assert esprobe("--db", swept, "report", "--arm", "2", "--plots", "plots").returncode == 0
    assert (tmp_path / "plots/countdown-tiny-pass-at-k-temperature.svg").exists()
    assert not (tmp_path / "plots/countdown-tiny-pass-at-k-perturbation.svg").exists()
    done = esprobe("--db", swept, "report", "--compare", "--task", "countdown", "--value", ["0.6", "0.02"][0], "--value", "0.02")
    assert "T 0.6 against perturbation σ 0.02" in " ".join(done.stdout.split())


def test_shares_and_points_as_text() -> None:
    assert percent(0.4375) == "43.8%"
    assert percent(0.0023, (0.0, 0.0123)) == "0.23% [0.00, 1.23]"
    assert percent(0.0) == "0.0%"
    assert percent(1e-7) == "<0.01%"
    assert points(0.078, (-0.003, 0.159)) == "+7.8 [−0.3, +15.9]"
    assert points(0.0) == "0.0"
