"""The SQL views equal an independent computation with exact fractions, in the plain sqlite3 shell too."""

import json
import math
import random
import shutil
import subprocess
from fractions import Fraction
from itertools import accumulate
from math import comb
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.analysis import reading
from esprobe.arms import Arm
from esprobe.pipeline.meter import Quiet
from esprobe.pipeline.rescore import rescore
from esprobe.stats.estimator import pass_at_k
from esprobe.stats.intervals import Cell
from esprobe.stats.paired import TAUS, cover_at
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Facts, Score
from esprobe.tasks.countdown.task import Countdown
from tests.conftest import lacking
from tests.helpers.made import make
from tests.helpers.wired import load_arms, overview

WRONG = Score(False, "wrong_value", "1", "1", 0.0)
RIGHT = Score(True, "correct", "2", "2", 1.0)


def fill(path: Path, counts: list[tuple[int, int, float | None]], method: str = "temperature") -> None:
    """A database with one arm; each problem has (n, c, chance): n draws of which c are correct."""
    task, store = Countdown(), Store(path)
    problems = [task.problem({"numbers": [1, i], "target": str(i)}) for i in range(len(counts))]
    store.add_problems([(p, Facts(chance != 0, None, chance)) for p, (_, _, chance) in zip(problems, counts, strict=True)])
    ids = store.problem_ids(problems)
    arm_id = store.arm_id(Arm("m", "d", method, 0.5))
    run_id = store.start_run("test", {}, {})
    rows = []
    for problem_id, (n, c, _) in zip(ids, counts, strict=True):
        order = random.Random(problem_id).sample(range(n), n)
        rows += [RolloutRow(d, problem_id, f"{d}", 3, "stop", RIGHT if order[d] < c else WRONG) for d in range(n)]
    store.save(arm_id, run_id, "countdown", rows)
    store.close()


def exact(n: int, c: int, k: int) -> Fraction:
    return 1 - Fraction(comb(n - c, k), comb(n, k))


def expected(counts: list[tuple[int, int, float | None]], k: int) -> tuple[int, float, float | None, float | None]:
    """(problems, pass@k, stderr, chance) over the problems with at least k draws, in exact fractions to the end."""
    each = [exact(n, c, k) for n, c, _ in counts if n >= k]
    size = len(each)
    mean = sum(each) / size
    variance = sum((x - mean) ** 2 for x in each) / (size * (size - 1)) if size > 1 else None
    odds = [None if p is None else 1 - (1 - Fraction(p)) ** k for n, _, p in counts if n >= k]
    chance = None if None in odds else float(sum(odds) / size)
    return size, float(mean), None if variance is None else float(variance) ** 0.5, chance


@pytest.mark.parametrize("seed", range(8))
def test_pass_at_k_equals_exact_fractions(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    deep = rng.choice([1, 2, 7, 64, 100, 300])
    uneven = seed % 2 == 1
    counts = []
    for _ in range(rng.choice([1, 2, 9])):
        n = rng.randint(1, deep) if uneven else deep
        counts.append((n, rng.choice([0, n, rng.randint(0, n), min(n, 1)]), rng.choice([0.0, 1.0, rng.random(), 0.01])))
    if seed == 5:
        counts = [(5, 2, None), (5, 0, 0.5)]
    fill(tmp_path / "r.db", counts)
    most = max(n for n, _, _ in counts)
    ks = sorted({2**i for i in range(10) if 2**i <= most} | {most})
    connection = reading.open_database(tmp_path / "r.db")
    _, rows = reading.query(connection, "SELECT k, problems, pass_at_k, stderr, chance FROM pass_at_k ORDER BY k")
    assert [row[0] for row in rows] == ks
    for k, *row in rows:
        assert row == pytest.approx(list(expected(counts, k)), abs=1e-12)
    # and for a k of the user's own
    for k in {max(1, most - 1), (most + 2) // 3}:
        at = overview(tmp_path / "r.db", ks=[k]).arms[0].at[k]
        assert [at.problems, at.pass_at_k, at.stderr, at.chance] == pytest.approx(list(expected(counts, k)), abs=1e-12)


@given(st.data())
def test_the_estimator_equals_exact_fractions(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 700))
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert pass_at_k(n, c, k) == pytest.approx(float(exact(n, c, k)), abs=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(5, 6, 1), (5, 2, 6), (5, 2, 0), (5, -1, 1)])
def test_the_estimator_refuses_what_it_cannot_mean(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


def shell(db: Path, sql: str) -> list[dict[str, object]]:
    program = shutil.which("sqlite3")
    if program is None:
        lacking("the sqlite3 shell")
    done = subprocess.run([program, "-json", str(db), sql], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")


def test_the_sqlite3_shell_gives_the_numbers_of_the_report(swept: Path) -> None:
    rows = {(r["arm_id"], r["k"]): r for r in shell(swept, "select * from pass_at_k")}
    arms = load_arms(swept)
    assert {arm.method for arm in arms} == {"greedy", "temperature", "perturbation"}
    assert len(rows) == sum(len(arm.at) for arm in arms)
    for arm in arms:
        for k, at in arm.at.items():
            row = rows[arm.arm_id, k]
            assert (row["model"], row["method"], row["value"]) == (arm.model, arm.method, arm.value)
            for name in ("problems", "pass_at_k", "stderr", "chance"):
                assert row[name] == pytest.approx(getattr(at, name), rel=1e-14)


def test_every_view_has_the_columns_it_promises(swept: Path) -> None:
    promised = {
        "solved": "scorer arm_id problem_id n c",
        "pass_at_k": "scorer arm_id task model method value k problems pass_at_k stderr chance",
        "vote_at_k": "scorer arm_id task model method value k problems vote_at_k",
        "vote_at_k_by_expression": "scorer arm_id task model method value k problems vote_at_k",
        "arm_summary": "scorer arm_id task model method value problems draws rollouts correct problems_solved mean_tokens "
        "mean_prompt_tokens cut_off nan solvable unknown settings",
        "rollout_text": "scorer rollout_id task model method value draw payload numbers target text correct reward answer ballot "
        "expression reason tokens prompt_tokens finish",
        "draw_accuracy": "scorer arm_id task model method value draw seed problems correct accuracy reward",
        "cover_at_tau": "scorer arm_id task model method value tau problems cover_at_tau chance",
    }
    for view, columns in promised.items():
        row = shell(swept, f"select * from {view} limit 1")[0]
        assert set(columns.split()) <= set(row), view


def test_the_views_agree_with_the_tables(swept: Path) -> None:
    for row in shell(swept, "select * from arm_summary"):
        where = f"where arm_id = {row['arm_id']}"
        counted = shell(swept, f"select count(*) as rollouts, sum(correct) as correct from rollout_text {where}")[0]
        assert counted == {"rollouts": row["rollouts"], "correct": row["correct"]}
        assert row["rollouts"] == row["problems"] * row["draws"]
        solved = shell(swept, f"select count(distinct problem_id) as s from rollout_text {where} and correct")[0]
        assert solved["s"] == row["problems_solved"]


def test_draw_accuracy_counts_every_draw_over_all_problems_and_names_its_seed(swept: Path) -> None:
    rows = shell(swept, "select * from draw_accuracy")
    counted = shell(
        swept,
        "select arm_id, draw, seed, count(*) as problems, sum(correct) as correct, avg(correct) as accuracy, "
        "avg(reward) as reward from rollout_text group by arm_id, draw",
    )
    assert [{name: row[name] for name in counted[0]} for row in rows] == counted
    assert all((row["seed"] is not None) == (row["method"] == "perturbation") for row in rows)


@pytest.mark.parametrize("n", [1, 3, 10, 100, 300])
def test_cover_at_tau_equals_exact_fractions(tmp_path: Path, n: int) -> None:
    counts = [(n, c, 0.5) for c in sorted({0, 1, n // 10, n // 3, n // 2, n - 1, n})]
    fill(tmp_path / "r.db", counts)
    rows = reading.query(reading.open_database(tmp_path / "r.db"), "SELECT tau, problems, cover_at_tau FROM cover_at_tau")[1]
    assert [tau for tau, _, _ in rows] == list(TAUS)
    for tau, problems, share in rows:
        exactly = Fraction(round(100 * tau), 100)
        assert problems == len(counts)
        assert share == pytest.approx(sum(Fraction(c, n) >= exactly for n, c, _ in counts) / len(counts), abs=1e-12)
        assert share == pytest.approx(cover_at([Cell(n, c) for n, c, _ in counts], tau), abs=1e-12)


@pytest.mark.parametrize("n", [1, 3, 64, 700])
def test_chance_of_cover_equals_the_exact_binomial_tail(tmp_path: Path, n: int) -> None:
    chances = [0.0, 1.0, 0.5, 0.01, 0.3, 1e-9, 1 - 1e-9]
    fill(tmp_path / "r.db", [(n, 0, p) for p in chances])
    rows = reading.query(reading.open_database(tmp_path / "r.db"), "SELECT tau, chance FROM cover_at_tau")[1]
    assert len(rows) == len(TAUS)
    tails = [_tails(n, Fraction(p)) for p in chances]
    for tau, chance in rows:
        least = math.ceil(Fraction(round(100 * tau), 100) * n)
        assert chance == pytest.approx(sum(tail[n - least] for tail in tails) / len(tails), abs=1e-12)


def _tails(n: int, p: Fraction) -> list[float]:
    """How probably at least n, n − 1, … 0 of n are right, each exact to its last digit."""
    hit, miss = p.numerator, p.denominator - p.numerator
    ways = [comb(n, right) * hit**right * miss ** (n - right) for right in range(n, -1, -1)]
    return [total / p.denominator**n for total in accumulate(ways)]


def test_chance_is_unknown_where_one_problem_has_none(tmp_path: Path) -> None:
    fill(tmp_path / "r.db", [(4, 1, 0.5), (4, 1, None)])
    connection = reading.open_database(tmp_path / "r.db")
    for view in ("pass_at_k", "cover_at_tau"):
        assert {row for (row,) in reading.query(connection, f"SELECT chance FROM {view}")[1]} == {None}


def test_solvable_unknown_and_impossible_are_told_apart(tmp_path: Path) -> None:
    facts = [Facts(True, "1 + 7", 0.1), Facts(False, None, 0.0), Facts(None, None, None), Facts(True, "1 + 7", None)]
    make(tmp_path / "r.db", [("temperature", 0.5, dict.fromkeys(range(4), "+-"))], facts=facts)
    columns = "problems, solvable, unknown"
    assert reading.query(reading.open_database(tmp_path / "r.db"), f"SELECT {columns} FROM arm_summary")[1] == [(4, 2, 1)]


def test_what_is_proven_under_one_rule_is_unknown_under_another(swept: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(swept, copy)
    rescore(copy, "countdown-published", False, Quiet())
    for view in ("pass_at_k", "cover_at_tau"):
        known = shell(
            copy, f"select scorer, count(*) = count(chance) as known, count(chance) as some from {view} group by scorer"
        )
        assert [(row["scorer"], row["known"], row["some"] > 0) for row in known] == [
            ("countdown", 1, True),
            ("countdown-published", 0, False),
        ]
    ceilings = shell(copy, "select distinct scorer, problems, solvable, unknown from arm_summary order by scorer")
    assert [tuple(row.values()) for row in ceilings] == [("countdown", 12, 12, 0), ("countdown-published", 12, 0, 12)]


def test_the_summary_counts_lengths_and_how_rollouts_ended(tmp_path: Path) -> None:
    task, store = Countdown(), Store(tmp_path / "r.db")
    problems = task.bundled()[:1]
    store.add_problems([(p, task.facts(p)) for p in problems])
    arm_id, run_id = store.arm_id(Arm("m", "d", "greedy", None)), store.start_run("test", {}, {})
    ended = ["stop", "length", "nan", "length"]
    rows = [RolloutRow(i, 1, "", 10 + i, finish, WRONG, prompt_tokens=100 + 2 * i) for i, finish in enumerate(ended)]
    store.save(arm_id, run_id, "countdown", rows)
    columns = "rollouts, mean_tokens, mean_prompt_tokens, cut_off, nan"
    assert reading.query(reading.open_database(tmp_path / "r.db"), f"SELECT {columns} FROM arm_summary")[1] == [
        (4, 11.5, 103.0, 2, 1)
    ]
    store.close()


def test_two_scorers_are_two_rows_and_never_counted_twice(swept: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(swept, copy)
    before = shell(copy, "select * from pass_at_k where scorer = 'countdown'")
    count = shell(copy, "select count(*) as n from rollout")[0]["n"]
    assert rescore(copy, "countdown-published", False, Quiet()) == count
    assert rescore(copy, "countdown-published", False, Quiet()) == 0
    assert rescore(copy, "countdown-published", True, Quiet()) == count
    assert shell(copy, "select * from pass_at_k where scorer = 'countdown'") == before
    both = shell(copy, "select scorer, sum(n) as n from solved group by scorer")
    assert both == [{"scorer": "countdown", "n": count}, {"scorer": "countdown-published", "n": count}]
