"""`esprobe report --compare`: figures equal to exact fractions and to plain enumeration, and nothing unfair left unsaid."""

import itertools
import json
import random
from fractions import Fraction
from math import comb
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.analysis.arms import Filter
from esprobe.analysis.comparison import compare
from esprobe.analysis.reading import open_database
from esprobe.arms import Arm
from esprobe.report.comparison_text import COLUMNS
from esprobe.report.plots.findings import difference_found, told_apart
from esprobe.stats.intervals import Cell
from esprobe.stats.paired import mcnemar, overlap, paired_difference, powers_of_two, union_at
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Score
from esprobe.tasks.countdown.task import Countdown
from tests.benchmarks import big_database
from tests.conftest import Run
from tests.helpers.errors import one_line_error
from tests.helpers.made import make as made
from tests.helpers.wired import load_arms, report

WRONG, RIGHT = Score(False, "wrong_value", "1", "1", 0.0), Score(True, "correct", "2", "2", 1.0)


def fill(path: Path, arms: list[tuple[str, str, float | None, list[int], int, float]]) -> None:
    """Arms of (model, method, value, problems, draws, rate); each draw is right at random with the rate."""
    rng, task, store = random.Random(1), Countdown(), Store(path)
    problems = task.bundled()[:40]
    store.add_problems([(p, task.facts(p)) for p in problems])
    ids = store.problem_ids(problems)
    run_id = store.start_run("test", {}, {})
    for model, method, value, chosen, draws, rate in arms:
        arm_id = store.arm_id(Arm(model, model, method, value))  # type: ignore[arg-type]
        rows = [
            RolloutRow(d, ids[i], "text", 3, "stop", RIGHT if rng.random() < rate else WRONG)
            for d in range(draws)
            for i in chosen
        ]
        store.save(
            arm_id, run_id, "countdown", rows, dict(enumerate(range(100, 100 + draws))) if method == "perturbation" else None
        )
    store.close()


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_overlaps_test_is_the_exact_binomial_one(b: int, c: int) -> None:
    n = b + c
    as_likely = sum(Fraction(comb(n, i), 2**n) for i in range(n + 1) if comb(n, i) <= comb(n, b))  # two-sided, symmetric
    assert mcnemar(b, c) == pytest.approx(float(as_likely), abs=1e-12)
    assert mcnemar(b, c) == mcnemar(c, b)


def test_the_overlap_of_the_published_study_is_not_equal_shares_by_chance() -> None:
    assert mcnemar(16, 5) == pytest.approx(0.0266, abs=1e-4)
    groups = overlap([True] * 56 + [False] * 72, [True] * 40 + [False] * 16 + [True] * 5 + [False] * 67)
    assert (groups.both, groups.only_first, groups.only_second, groups.neither) == (40, 16, 5, 67)
    assert mcnemar(100_000, 90_000) < 1e-9


@given(st.integers(2, 6), st.integers(2, 6), st.data())
def test_the_union_at_equal_budget_is_the_mean_over_all_choices_of_draws(n: int, m: int, data: st.DataObject) -> None:
    a = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    b = data.draw(st.lists(st.booleans(), min_size=m, max_size=m))
    half = data.draw(st.integers(1, min(n, m)))
    hits = [any(x) or any(y) for x in itertools.combinations(a, half) for y in itertools.combinations(b, half)]
    assert union_at([Cell(n, sum(a))], [Cell(m, sum(b))], 2 * half) == pytest.approx(sum(hits) / len(hits), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=9), st.integers(1, 20))
def test_the_paired_difference_equals_exact_fractions(counts: list[tuple[int, int]], k: int) -> None:
    def exact(c: int) -> Fraction:
        return 1 - Fraction(comb(20 - c, k), comb(20, k))

    first, second = ([Cell(20, pair[i]) for pair in counts] for i in (0, 1))
    found, back = paired_difference(first, second, k), paired_difference(second, first, k)
    assert found.difference == pytest.approx(float(sum(exact(a) - exact(b) for a, b in counts) / len(counts)), abs=1e-12)
    assert found.interval is not None
    assert back.interval is not None
    assert found.interval.low - 1e-12 <= found.difference <= found.interval.high + 1e-12
    assert tuple(back.interval) == pytest.approx((-found.interval.high, -found.interval.low), abs=1e-12)
    same = paired_difference(first, first, k).interval  # equal counts do not prove that two arms are equal
    assert same is not None
    assert -same.low == same.high > 0


def test_steps_and_depths() -> None:
    assert powers_of_two(1) == [1]
    assert powers_of_two(6) == [1, 2, 4, 6]
    with pytest.raises(ValueError, match="even k"):
        union_at([Cell(2, 1)], [Cell(2, 1)], 1)


def figures(esprobe: Run, db: Path, *words: str) -> dict[tuple[str, object, str], dict[str, object]]:
    done = esprobe("--db", db, "report", "--compare", "--format", "json", *words)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert all(list(row) == COLUMNS for row in rows)
    return {(row["section"], row["at"], row["quantity"]): row for row in rows}


def test_the_best_arms_are_compared_in_every_format(esprobe: Run, swept: Path) -> None:
    found = figures(esprobe, swept)
    one = found["pass_at_k", 6, "first"]
    assert str(one["first"]).startswith("T ")
    assert str(one["second"]).startswith("σ ")
    plain = json.loads(esprobe("--db", swept, "report", "--format", "json").stdout)
    for side in ("first", "second"):
        at = {row["k"]: row for row in plain if row["arm_id"] == one[f"{side}_arm_id"]}
        for k in (1, 2, 4, 6):
            assert found["pass_at_k", k, side]["value"] == pytest.approx(at[k]["pass_at_k"], abs=1e-12)
            assert found["pass_at_k", k, "chance"]["value"] == pytest.approx(at[k]["chance"], abs=1e-12)
        best = max(row["pass_at_k"] for row in plain if row["method"] == at[6]["method"] and row["k"] == 6)
        assert at[6]["pass_at_k"] == best
        assert found["solved_by_depth", 6, side]["value"] == pytest.approx(at[6]["problems_solved"] / 12)
    assert sum(int(str(found["overlap", 6, g]["value"])) for g in ("both", "only_first", "only_second", "neither")) == 12
    table = esprobe("--db", swept, "report", "--compare").stdout
    markdown = esprobe("--db", swept, "report", "--compare", "--format", "markdown").stdout
    for words in ("winner's curse", "compared with pass@1", "McNemar", "cover@τ", "ceiling", "beat greedy", "union", "guessing"):
        assert words in table
        assert words in markdown
    lines = esprobe("--db", swept, "report", "--compare", "--format", "csv").stdout.splitlines()
    assert lines[0].split(",") == COLUMNS
    assert len(lines) == 1 + len(found)


def test_the_same_comparison_again_gives_the_same_figures_and_two_arms_can_be_named(esprobe: Run, swept: Path) -> None:
    assert figures(esprobe, swept) == figures(esprobe, swept)
    forth, back = figures(esprobe, swept, "--arm", "2", "--arm", "3"), figures(esprobe, swept, "--arm", "3", "--arm", "2")
    for k in (1, 2, 4, 6):
        a, b = forth["pass_at_k", k, "difference"], back["pass_at_k", k, "difference"]
        assert (a["value"], a["low"], a["high"]) == pytest.approx((-b["value"], -b["high"], -b["low"]), abs=1e-12)  # type: ignore[operator]
        assert forth["pass_at_k", k, "union"]["value"] == pytest.approx(back["pass_at_k", k, "union"]["value"]) or k == 1
    said = esprobe("--db", swept, "report", "--compare", "--arm", "2", "--arm", "3").stdout
    assert "named, not chosen" in said
    assert "-k" not in said
    assert {at for section, at, _ in figures(esprobe, swept, "-k", "3") if section == "pass_at_k"} == {3}


def test_only_problems_and_depths_that_both_have_are_compared(esprobe: Run, tmp_path: Path) -> None:
    everything, half = list(range(40)), list(range(20))
    fill(
        tmp_path / "r.db",
        [
            ("m", "greedy", None, everything, 1, 0.5),
            ("m", "temperature", 0.5, everything, 16, 0.1),
            ("m", "perturbation", 0.01, half, 8, 0.1),
        ],
    )
    found = figures(esprobe, tmp_path / "r.db")
    assert found["setting", None, "problems"]["value"] == 20
    assert found["setting", None, "depth"]["value"] == 8
    assert max(at for section, at, _ in found if section == "pass_at_k") == 8  # type: ignore[type-var]
    said = esprobe("--db", tmp_path / "r.db", "report", "--compare").stdout
    assert "20 problems are left out" in said
    assert "no winner was chosen" in said
    assert "100" in said  # the seed of draw 0


def test_candidates_that_share_fewer_problems_are_chosen_on_those_and_the_note_says_so(esprobe: Run, tmp_path: Path) -> None:
    better, worse = dict.fromkeys(range(8), "+-"), dict.fromkeys(range(4), "--")
    made(tmp_path / "esprobe.db", [("temperature", 0.5, better), ("perturbation", 0.01, better), ("perturbation", 0.02, worse)])
    told = esprobe("report", "--compare").stdout
    assert "on 8 problems, 2 draws each" in told
    assert "Chosen on one half of the 4 problems that every candidate has" in told


def test_models_are_judged_on_the_problems_of_the_comparison(esprobe: Run, tmp_path: Path) -> None:
    """Model 0 solves what only its own arm has, model 1 what is compared; model 2 lacks a problem that is not compared."""
    few, more = dict.fromkeys(range(4), "++"), dict.fromkeys(range(4), "-+-") | dict.fromkeys(range(4, 8), "+-")
    greedy = dict.fromkeys(range(4), "+") | dict.fromkeys(range(4, 8), "-")
    made(tmp_path / "r.db", [("greedy", None, greedy), ("temperature", 0.5, few), ("perturbation", 0.01, more)])
    found = figures(esprobe, tmp_path / "r.db")
    assert found["setting", None, "problems"]["value"] == 4
    assert found["draws", None, "second_mean_accuracy"]["value"] == pytest.approx(1 / 3)
    best = [(at, row["value"]) for (section, at, name), row in found.items() if section == "draws" and "best_seed" in name]
    assert best == [(1, 1.0), (0, 0.0), (2, 0.0)]
    said = " ".join(esprobe("--db", tmp_path / "r.db", "report", "--compare").stdout.split())
    assert "0 of 3 perturbed models of σ 0.01 beat greedy decoding (100.0%)" in said


def test_problems_won_and_lost_and_distinct_ballots_are_told(esprobe: Run, tmp_path: Path) -> None:
    first = {0: "++", 1: "+-", 2: "--", 3: "++"}
    second = {0: "--", 1: "-+", 2: "++", 3: "++"}
    made(
        tmp_path / "r.db",
        [("greedy", None, dict.fromkeys(range(4), "+")), ("temperature", 0.5, first), ("temperature", 1.0, second)],
    )
    found = figures(esprobe, tmp_path / "r.db", "--arm", "2", "--arm", "3")
    assert [found["won_and_lost", 1, name]["value"] for name in ("won", "lost")] == [1.25, 1.25]  # problem 1: 1/2 · 1/2 each
    assert [found["won_and_lost", 2, name]["value"] for name in ("won", "lost")] == [1, 1]
    assert [found["overlap", 2, name]["value"] for name in ("only_first", "only_second")] == [1, 1]
    assert [found["won_by_luck", 1, side]["value"] for side in ("first", "second")] == [0.5, 0.5]
    assert [found["distinct_ballots", k, "first"]["value"] for k in (1, 2)] == [1, 2]
    text = " ".join(esprobe("--db", tmp_path / "r.db", "report", "--compare", "--arm", "2", "--arm", "3").stdout.split())
    assert "Problems that T 0.5 wins from T 1 and loses to it" in text
    assert "won, lost: problems that k draws of T 0.5 solve and k draws of T 1 do not, and the reverse" in text
    assert "Luck alone does so too: at k = 1, of two draws of one arm each wins 0.5 (T 0.5) or 0.5 (T 1) problems." in text
    greedy = esprobe("--db", tmp_path / "r.db", "report", "--compare", "--arm", "1", "--arm", "2").stdout
    assert greedy.startswith("m: greedy against temperature T 0.5, on 4 problems, 1 draw each")


def test_extremes_are_compared_without_fuss(esprobe: Run, tmp_path: Path) -> None:
    fill(
        tmp_path / "r.db",
        [
            ("zero", "temperature", 0.5, [0], 1, 0.0),
            ("zero", "perturbation", 0.01, [0], 1, 0.0),
            ("all", "temperature", 0.5, [0, 1, 2], 3, 1.0),
            ("all", "perturbation", 0.01, [0, 1, 2], 3, 1.0),
        ],
    )
    for style in ("table", "markdown", "csv", "json"):
        done = esprobe("--db", tmp_path / "r.db", "report", "--compare", "--format", style)
        assert done.returncode == 0, done.stderr
        assert "nan" not in done.stdout
        assert "zero" in done.stdout


def test_a_comparison_opens_with_what_was_found_and_several_say_whose_figures_they_are(esprobe: Run, tmp_path: Path) -> None:
    every = list(range(30))
    arms = [("temperature", 0.5, every, 4, 0.9), ("perturbation", 0.01, every, 4, 0.1)]
    fill(tmp_path / "r.db", [(model, *arm) for model in ("m", "other") for arm in arms])
    found = compare(open_database(tmp_path / "r.db"), Filter())
    at = {one.first.model: [step.difference for step in one.steps] for one in found}
    says = {m: f"{difference_found('T 0.5', 'σ 0.01', d[-1])}; {told_apart('T 0.5', 'σ 0.01', d)}." for m, d in at.items()}
    for style in ("table", "markdown"):
        alone = esprobe("--db", tmp_path / "r.db", "report", "--compare", "--model", "other", "--format", style).stdout
        title, finding = alone.splitlines()[0:3:2]
        assert "other: temperature T 0.5 against perturbation σ 0.01" in title
        assert finding == says["other"]
        first, *each = esprobe("--db", tmp_path / "r.db", "report", "--compare", "--format", style).stdout.split("\n\n\n")
        assert first.split("\n\n" if style == "markdown" else "\n") == [f"{model}: {said}" for model, said in says.items()]
        assert [text.count("other: ") for text in each] == [0, 2]  # above its tables, and above its notes


def test_nothing_to_compare_is_one_line(esprobe: Run, swept: Path, tmp_path: Path) -> None:
    fill(
        tmp_path / "r.db",
        [
            ("m", "temperature", 0.5, [0, 1], 2, 0.5),
            ("m", "perturbation", 0.01, [2, 3], 2, 0.5),
            ("n", "temperature", 1, [0], 2, 0.5),
        ],
    )
    compare = ["report", "--compare"]
    for db, words, says in [
        (swept, [*compare, "--method", "temperature"], "nothing to compare"),
        (tmp_path / "r.db", compare, "no problem in common"),
        (tmp_path / "r.db", [*compare, "--model", "n"], "nothing to compare"),
        (tmp_path / "r.db", [*compare, "--arm", "1", "--arm", "2"], "no problem in common"),
        (swept, [*compare, "--arm", "1"], "two different arms"),
        (swept, [*compare, "--arm", "1", "--arm", "1"], "two different arms"),
        (swept, [*compare, "--arm", "1", "--arm", "99"], "there is no arm 99"),
    ]:
        assert says in one_line_error(esprobe("--db", db, *words), 1)
    assert "there is no arm 99" in one_line_error(esprobe("--db", swept, "report", "--arm", "99"), 1)


def test_the_benchmarks_database_is_plausible(esprobe: Run, tmp_path: Path) -> None:
    big_database.build(tmp_path / "r.db", problems=8, draws=16)
    records = json.loads(esprobe("--db", tmp_path / "r.db", "report", "--format", "json").stdout)
    assert {row["arm_id"] for row in records} == set(range(1, 13))
    assert all(row["low"] <= row["pass_at_k"] <= row["high"] for row in records)
    assert figures(esprobe, tmp_path / "r.db")["setting", None, "problems"]["value"] == 8


def imported(path: Path, model: str, method: str, first_draw: int, right: set[int]) -> None:
    """An imported arm of 8 draws, numbered from `first_draw`, on 6 problems; `right`: the draws (from 0) that solve them all."""
    task, store = Countdown(), Store(path)
    problems = task.bundled()[:6]
    store.add_problems([(p, task.facts(p)) for p in store.unknown_problems(problems)])
    arm_id = store.arm_id(Arm("same-name", model, method, 0.5))  # type: ignore[arg-type]
    run_id = store.start_run("test", {}, {})
    rows = []
    for d in range(8):
        verdict = Score(d in right, "correct" if d in right else "wrong_value", "1", "1", 1.0)
        rows += [RolloutRow(first_draw + d, i, f"{d}", 3, "stop", verdict) for i in store.problem_ids(problems)]
    store.save(arm_id, run_id, "countdown", rows)
    store.close()


def test_draws_may_be_numbered_from_anywhere(tmp_path: Path) -> None:
    found = []
    for name, start in (("zero", 0), ("far", 1000)):
        path = tmp_path / f"{name}.db"
        imported(path, "d", "temperature", start, {1, 5})
        imported(path, "d", "perturbation", start, {2})
        (one,) = compare(open_database(path), Filter())
        assert (one.overlap.both, one.overlap.neither) == (6, 0)
        found.append((one.steps, [a.at[1].interval for a in load_arms(path, Filter())]))
    assert found[0] == found[1]


def test_models_of_one_name_are_told_apart_and_one_that_cannot_be_compared_hinders_no_other(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    imported(path, "old", "temperature", 0, set())
    imported(path, "new", "temperature", 0, {0, 1})
    imported(path, "new", "perturbation", 0, {0})
    (one,) = compare(open_database(path), Filter())
    assert {one.first.model_digest, one.second.model_digest} == {"new"}
    shown = report(path, Filter(), (), "markdown")
    assert "model=old" in shown
    assert "model=new" in shown


def test_equal_differences_are_no_certainty(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    imported(path, "d", "temperature", 0, set(range(8)))
    imported(path, "d", "perturbation", 0, set())
    (one,) = compare(open_database(path), Filter())
    last = one.steps[-1].difference
    assert last.difference == 1.0
    assert last.interval is not None
    assert last.interval.low < 0.8
