"""The report: what is said of every arm and of guessing, in every format and at every width; nothing unknown is claimed."""

import csv
import io
import json
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from esprobe.analysis.arms import ArmRow, Filter
from esprobe.analysis.baselines import Tried, chance_at, distinct_at, greedy_at
from esprobe.arms import Arm
from esprobe.errors import UserError
from esprobe.report.layout import width_of
from esprobe.report.words import percent, points
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Facts, Score
from esprobe.tasks.countdown.task import Countdown
from tests.conftest import Run, run_esprobe
from tests.helpers.terminal import numbers, on_terminal
from tests.helpers.wired import compare_report, load_arms, report, save_plots

RIGHT, WRONG = Score(True, "correct", "2", "2", 1.0), Score(False, "wrong_value", "1", "1", 0.0)
SILENT = Score(False, "no_answer", None, None, 0.0)
JUDGED, ENDED = {"+": RIGHT, "o": SILENT}, {"n": "nan", "l": "length"}
EASY = Facts(True, "1 + 7", 0.25, "3 numbers", 10)
HARD = Facts(True, "1 + 7", 0.01, "4 numbers", 500)
IMPOSSIBLE = Facts(False, None, 0.0, "3 numbers", 10)
UNKNOWN = Facts(None, None, None, "6 numbers", None)


@dataclass(frozen=True)
class Made:
    """An arm: of each problem the verdicts of its draws, `+` correct, `-` wrong, `o` no answer, `n` ended as nan, `l` cut off."""

    method: str
    value: float | None
    verdicts: Sequence[str]
    model: str = "m"
    settings: tuple[tuple[str, Any], ...] = ()


def make(path: Path, facts: Sequence[Facts], arms: Sequence[Made], scorer: str = "countdown") -> Path:
    task, store = Countdown(), Store(path)
    problems = [task.problem({"numbers": [i + 1, 40 + i, 7], "target": str(100 + i)}) for i in range(len(facts))]
    store.add_problems(list(zip(problems, facts, strict=True)))
    ids = store.problem_ids(problems)
    run_id = store.start_run("test", {}, {})
    for arm in arms:
        arm_id = store.arm_id(Arm(arm.model, arm.model, arm.method, arm.value, {"task": "countdown", **dict(arm.settings)}))  # type: ignore[arg-type]
        rows = [
            RolloutRow(draw, ids[i], "text", 3, ENDED.get(c, "stop"), JUDGED.get(c, WRONG))
            for i, drawn in enumerate(arm.verdicts)
            for draw, c in enumerate(drawn)
        ]
        draws = max(map(len, arm.verdicts))
        store.save(arm_id, run_id, scorer, rows, dict(enumerate(range(draws))) if arm.method == "perturbation" else None)
    store.end_run(run_id, "done")
    store.close()
    return path


def shown(path: Path, chosen: Filter | None = None, ks: Sequence[int] = ()) -> str:
    return report(path, chosen or Filter(), ks, "table")


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
    text = shown(path)
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
    text = shown(path, ks=[4])
    assert row(text, "chance") == [percent(chance_at(tried, 4) or 0)]
    assert row(text, "values") == [percent(distinct_at(tried, 4) or 0)]
    assert row(text, "greedy+") == [percent(greedy_at(tried, {1: 1.0, 2: 0.0, 3: 0.0}, 4) or 0)]
    assert "guessing alone" in text
    filtered = shown(path, Filter(methods=("temperature",)))
    assert row(filtered, "greedy+")
    assert "greedy+: the greedy answer" in filtered


def test_proven_unknown_and_impossible_problems_are_told_apart(tmp_path: Path) -> None:
    arm = [Made("temperature", 0.5, ["+-", "--", "--", "--"])]
    known = shown(make(tmp_path / "a.db", [EASY, HARD, IMPOSSIBLE, EASY], arm))
    assert "ceiling: 3 of 4 problems (75.0%) can be solved, 1 is proven impossible" in known
    bound = shown(make(tmp_path / "b.db", [EASY, UNKNOWN, IMPOSSIBLE, EASY], arm))
    assert "2 are proven solvable, 1 proven impossible and 1 unknown, so at most 75.0% can be solved" in bound
    assert "can be solved, " not in bound
    assert row(bound, "at most") == ["75.0%", "75.0%", "3"]
    nothing = shown(make(tmp_path / "c.db", [UNKNOWN] * 4, arm))
    assert not re.search(r"can be solved|ceiling:|guessing alone", nothing)


def test_a_scorer_without_a_proof_of_its_own_has_no_chance_and_no_ceiling(tmp_path: Path) -> None:
    arms = [Made("greedy", None, "++"), Made("temperature", 0.5, ["+-", "--"]), Made("perturbation", 0.1, ["+-", "--"])]
    path = make(tmp_path / "r.db", [EASY, HARD], arms, scorer="countdown-published")
    chosen = Filter("countdown-published")
    text = shown(path, chosen)
    assert not re.search(r"^ (chance|values|ceiling|at most|greedy\+)", text, re.MULTILINE)
    assert "chance and ceiling are not known under countdown-published" in text
    records = json.loads(report(path, chosen, (), "json"))
    assert {(r["chance"], r["above_chance"], r["solvable"], r["unknown"]) for r in records} == {(None, None, 0, 2)}
    assert len(save_plots(path, chosen, tmp_path / "plots")) > 5
    svg = (tmp_path / "plots/m-pass-at-k-overlaid.svg").read_text()
    assert "chance" not in svg
    assert "ceiling" not in svg


def test_a_comparison_explains_no_chance_that_is_not_known_and_shows_no_power_of_ten(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.5, ["+-" * 8] * 20), Made("perturbation", 0.1, ["+-" * 8] * 20)]
    path = make(tmp_path / "r.db", [EASY, HARD] * 10, arms, scorer="countdown-published")
    text = compare_report(path, Filter("countdown-published"))
    assert "cover@τ: the share of problems of which at least a share τ of the draws is right. A τ below 2/16" in text
    assert "chance" not in text
    assert "(p < 0.0001 of none)" in text


def test_rollouts_that_ended_in_no_number_or_at_the_limit_are_told_with_their_share(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [EASY, HARD], [Made("temperature", 0.5, ["nnn+", "n---"]), Made("greedy", None, "+l")])
    text = shown(path)
    assert "nan: rollouts of T 0.5 (50.0%) ended because the model's output was not a number (NaN)" in text
    assert "cut off: rollouts of greedy (50.0%) reached --max-new-tokens, or filled the context, before" in text
    records = json.loads(report(path, Filter(), (), "json"))
    assert {(r["method"], r["nan"], r["cut_off"]) for r in records} == {("greedy", 0, 1), ("temperature", 4, 0)}
    assert "nan:" not in shown(make(tmp_path / "s.db", [EASY, HARD], [Made("greedy", None, "+-")]))


def test_few_models_are_told_and_a_single_one_has_no_interval(tmp_path: Path) -> None:
    facts = [EASY, HARD] * 4
    arms = [Made("perturbation", 0.1, ["+", "-"] * 4), Made("perturbation", 0.2, ["+-++", "--+-"] * 4)]
    path = make(tmp_path / "r.db", facts, arms)
    text = shown(path)
    assert "1 model: σ 0.1 has no interval" in text
    assert re.search(r"not trustworthy: the interval of σ 0.2 at k = 1 and 4: few models \(4\)", text)
    one, *rest = json.loads(report(path, Filter(), (), "json"))
    assert (one["low"], one["high"], one["above_chance_low"]) == (None, None, None)
    assert all(r["low"] is not None and r["doubt"] == "few models (4)" for r in rest)
    read = list(csv.DictReader(io.StringIO(report(path, Filter(), (), "csv"))))
    assert [float(r["pass_at_k"]) for r in read] == [r["pass_at_k"] for r in (one, *rest)]
    assert {"task", "over_chance", "above_chance", "unknown", "cut_off", "nan"} <= set(read[0])


def test_a_k_beyond_the_draws_has_no_column_and_is_said(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [EASY, HARD], [Made("temperature", 0.5, ["+-", "--"]), Made("greedy", None, "+-")])
    text = shown(path, ks=[1, 10, 20])
    assert "pass@1 " in text
    assert "note: no arm has more than 2 draws, so there is no pass@10 or pass@20." in text
    assert "k = 10" not in text
    alone = shown(path, ks=[10])
    assert row(alone, "T 0.5") == ["2", "1", "3.0"]
    assert "Above chance" not in alone
    assert "[low, high]" not in alone
    compared = compare_report(path, pair=(1, 2), ks=(1, 10))
    assert "note: both arms have only 1 draw, so there is no pass@10." in compared


def test_of_several_models_every_column_and_note_says_whose_it_is(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.5, ["+-" * 8] * 4, "base"), Made("temperature", 0.5, ["+l+", "--l"], "other")]
    path = make(tmp_path / "r.db", [EASY, HARD] * 2, arms)
    base, other = shown(path).split("other: countdown, 2 problems")
    assert re.findall(r"pass@\d+", base.splitlines()[2]) == ["pass@1", "pass@8", "pass@16"]
    assert re.findall(r"pass@\d+", other.splitlines()[2]) == ["pass@1", "pass@3"]
    assert "at k = 16 on the problems of base." in other
    assert "ceiling (base): 4 of 4 problems" in other
    assert "ceiling (other): 2 of 2 problems" in other
    assert "cut off: rollouts of other T 0.5 (33.3%) reached" in other
    assert "#" not in other
    assert "note: no arm of other has more than 3 draws, so there is no pass@8." in shown(path, ks=[8])
    assert not re.search(r"\(base\)|on the problems of", shown(path, Filter(model="base")))


def test_where_nothing_is_correct_the_report_says_so_and_has_no_tables_of_zeros(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.5, ["----"] * 4), Made("perturbation", 0.1, ["----"] * 4)]
    path = make(tmp_path / "r.db", [EASY, HARD] * 2, arms)
    text = shown(path)
    assert text.splitlines()[2].startswith("No rollout of these arms is correct; `esprobe sql")
    assert run_esprobe("--db", path, "sql", text.split("`")[1].split('"')[1]).stdout.split()[-2:] == ["wrong_value", "32"]
    assert row(text, "chance")
    compared = compare_report(path)
    for said in (text, compared):
        assert not re.search(r"vote@k|won|winner's curse|Best models|by kind of problem|cover@", said)
    assert "No rollout" not in shown(make(tmp_path / "s.db", [EASY], [Made("greedy", None, "+")]))


def test_one_of_a_kind_is_no_plural(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [EASY], [Made("temperature", 0.5, ["+"]), Made("perturbation", 0.1, ["-"])])
    for text in (shown(path), compare_report(path), *save_plots(path, None, tmp_path / "plots")):
        assert not re.search(r"\b1 (problems|draws|models|arms|are|have)\b", text), text


def test_nothing_is_above_chance_by_more_than_is_possible(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [EASY, HARD, EASY], [Made("temperature", 0.5, ["++", "++", "+-"])])
    for record in json.loads(report(path, style="json")):
        assert -record["chance"] <= record["above_chance_low"] <= record["above_chance_high"] <= 1 - record["chance"] + 1e-15


def test_draws_that_never_differ_are_told(tmp_path: Path) -> None:
    arms = [Made("perturbation", 0.0, ["++++", "----"]), Made("temperature", 1.0, ["+-++", "----"])]
    text = shown(make(tmp_path / "r.db", [EASY, HARD], arms))
    assert "all alike: the draws of σ 0 agree on every problem, as if there were only one." in text


def test_what_rounding_leaves_of_sigma_is_told_where_it_is_off(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [EASY, HARD], [Made("perturbation", 0.001, ["+-", "-+"], settings=(("dtype", "bfloat16"),))])
    groups = {
        "matrices": {"weights": 9, "sigma": 1.02, "unchanged": 0.01},
        "norms": {"weights": 3, "sigma": 0.4, "unchanged": 0.75},
    }
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE arm SET rounding = ?", [json.dumps({"groups": groups})])
    text = shown(path)
    assert "rounding: with bfloat16 σ 0.001 perturbs differently than asked: norms (σ × 0.40, 75.0% unchanged)." in text
    assert "matrices" not in text


def test_two_arms_of_the_same_directions_are_said_not_to_be_independent(tmp_path: Path) -> None:
    arms = [Made("perturbation", sigma, ["+-+-", "-+--"]) for sigma in (0.01, 0.02)]
    path = make(tmp_path / "r.db", [EASY, HARD], arms)
    text = compare_report(path, Filter(), (1, 2), (), "table")
    assert "shared directions: 4 models of either arm have the same seeds" in text
    assert "McNemar's test is left out" in text
    assert "not trustworthy: the interval at k = 1, 2, 4: few models (4)" in text


def test_strata_are_compared_at_one_k(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.5, ["++", "--", "+-"]), Made("greedy", None, "+--")]
    text = shown(make(tmp_path / "r.db", [EASY, HARD, EASY], arms))
    part = text[text.index("pass@2 by kind of problem") :]
    assert "3 numbers (2)" in part
    assert row(part, "T 0.5") == ["100.0%", "0.0%"]
    assert row(part, "chance") == [percent(1 - 0.75**2), percent(1 - 0.99**2)]
    assert "by kind of problem" not in shown(make(tmp_path / "s.db", [EASY, EASY], [Made("temperature", 0.5, ["++", "--"])]))


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


@pytest.mark.parametrize("verdicts", ["+-", "oo"])
def test_votes_are_doubted_where_there_are_any(verdicts: str, tmp_path: Path) -> None:
    text = shown(make(tmp_path / "r.db", [EASY, HARD], [Made("perturbation", 0.1, [verdicts] * 2)]))
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


def test_shares_and_points_as_text() -> None:
    assert percent(0.4375) == "43.8%"
    assert percent(0.0023, (0.0, 0.0123)) == "0.23% [0.00, 1.23]"
    assert percent(0.0) == "0.0%"
    assert percent(1e-7) == "<0.01%"
    assert points(0.078, (-0.003, 0.159)) == "+7.8 [−0.3, +15.9]"
    assert points(0.0) == "0.0"
