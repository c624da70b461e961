"""`report --budget` as people and programs get it, on a training of two seeds by the installed command."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from esprobe.analysis.arms import Filter
from esprobe.analysis.budget import budgets
from esprobe.analysis.reading import open_database
from esprobe.analysis.which import scorer_of
from esprobe.report.plots.budget import save_budgets
from tests.conftest import run_esprobe
from tests.helpers.errors import one_line_error
from tests.helpers.trained import SMALL, problems


@pytest.fixture(scope="session")
def folder(trained: Path) -> Path:
    return trained


@pytest.fixture(scope="module")
def records(folder: Path) -> list[dict[str, Any]]:
    done = run_esprobe("report", "--budget", "--format", "json", cwd=folder)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_every_way_to_spend_a_budget_is_a_record(records: list[dict[str, Any]]) -> None:
    for measure in ("vote by value", "vote by expression", "pass"):
        kinds = {record["kind"] for record in records if record["measure"] == measure}
        assert kinds == {"greedy", "temperature", "perturbation", "best of N", "top K", "trained"}
    assert {(r["test_problems"], r["choice_problems"], r["training_seeds"], r["training"]) for r in records} == {(8, 6, 2, "es")}
    assert all(record["low"] <= record["value"] <= record["high"] for record in records)


def test_costs_are_what_was_spent(records: list[dict[str, Any]]) -> None:
    trained = {(r["model"], r["rollouts_per_problem"]): r for r in records if r["kind"] == "trained"}
    assert set(trained) == {(f"es@{t}", own) for t in (1, 2) for own in (1, 2)}
    for record in records:
        before = record["rollouts_before"]
        assert record["rollouts_total"] == before + 8 * record["rollouts_per_problem"]
        if record["kind"] == "trained":
            assert before == 4 * 3 * int(record["model"][-1])
        else:
            assert before == 6 * (record["models_to_choose_from"] or 0)


def test_a_sampler_never_spends_more_than_the_training_that_it_is_compared_with(records: list[dict[str, Any]]) -> None:
    compared = [record for record in records if record["kind"] == "trained"]
    assert all(record["verdict"] in ("sampling suffices", "training needed", "undecided") for record in compared)
    for record in compared:
        assert record["sampler_rollouts_total"] <= record["rollouts_total"]
        assert record["delta"] == pytest.approx(record["value"] - record["sampler_value"])
        assert record["delta_low"] <= record["delta"] <= record["delta_high"]


def test_people_get_tables_with_the_verdicts_and_a_picture(folder: Path) -> None:
    done = run_esprobe("report", "--budget", "--plots", "plots", cwd=folder, env={"COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    for words in ("Without a verifier", "With a verifier", "best of N models", "es@2", "margin 2", "training seeds"):
        assert words in " ".join(done.stdout.split())
    assert {path.suffix for path in (folder / "plots").iterdir()} == {".png", ".svg", ".pdf"}
    wide = run_esprobe("report", "--budget", "--margin", "100", cwd=folder)
    assert "margin 100" in " ".join(wide.stdout.split())


def test_with_a_file_its_problems_are_not_tested(folder: Path) -> None:
    more = problems(folder / "more.jsonl", 30, 3)
    done = run_esprobe("report", "--budget", "--train", more, "--format", "json", cwd=folder)
    assert {(record["test_problems"], record["choice_problems"]) for record in json.loads(done.stdout)} == {(5, 3)}


def test_what_is_lacking_is_said(folder: Path) -> None:
    done = run_esprobe("report", "--budget", "--method", "temperature", cwd=folder)
    assert "σ is not compared" in done.stdout
    assert "compare" in one_line_error(run_esprobe("report", "--budget", "--compare", cwd=folder), 2)
    assert "no trained model" in one_line_error(run_esprobe("report", "--budget", "--model", "nobody", cwd=folder), 1)


def test_reports_group_a_base_with_what_was_trained_from_it(folder: Path) -> None:
    done = run_esprobe("report", cwd=folder)
    places = [done.stdout.index(f"\n{name}, {steps}") for name, steps in (("es-1@1", "1 step"), ("es-1@2", "2 steps"))]
    assert places == sorted(places)
    assert "of training from countdown-tiny: countdown, 8 problems" in done.stdout
    assert "training: 4 iterations are not shown" in done.stdout
    assert "iteration=" not in done.stdout
    assert "was trained on" not in done.stdout


def test_a_trained_model_is_compared_with_its_base_arm_by_arm(folder: Path) -> None:
    done = run_esprobe("report", "--compare", "--model", "es-2@2", "--format", "json", cwd=folder)
    rows = json.loads(done.stdout)
    assert {(row["model"], row["first"], row["second"]) for row in rows} == {("es-2@2", arm, arm) for arm in ("greedy", "T 0.8")}
    sections = {(row["section"], row["quantity"]) for row in rows if row["first"] == "T 0.8" and row["at"] == 2}
    for section in ("pass_at_k", "vote_at_k"):
        assert {(section, quantity) for quantity in ("first", "second", "difference")} <= sections
    assert {("won_and_lost", "won"), ("won_and_lost", "lost")} <= sections


def test_evaluating_on_training_problems_is_said(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "esprobe.db", tmp_path / "esprobe.db")
    train = ("--data", folder / "train.jsonl", "--limit", 4)
    done = run_esprobe("sample-temp", "--model", "es-1@2", *train, "-T", 0.8, "-n", 1, *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    reported = run_esprobe("report", "--model", "es-1@2", cwd=tmp_path).stdout
    assert "note: greedy was trained on 4 of 12 problems." in reported
    compared = run_esprobe("report", "--compare", "--model", "es-1@2", cwd=tmp_path).stdout
    assert "note: es-1@2 was trained on 4 of 12 problems." in compared


def test_trainings_of_one_name_have_pictures_of_their_own(folder: Path, tmp_path: Path) -> None:
    with closing(open_database(folder / "esprobe.db")) as connection:
        (one,) = budgets(connection, Filter(scorer_of(connection, None, None)), 0.02, None)
    written = save_budgets([one, one], tmp_path)
    assert len(set(written)) == 6
    assert {path.name for path in tmp_path.iterdir()} == {Path(path).name for path in written}


def test_where_no_answer_is_correct_one_line_says_so(folder: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(folder / "esprobe.db", tmp_path / "r.db"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE score SET correct = 0")
        connection.commit()
    text = run_esprobe("--db", path, "report", "--budget").stdout
    assert "No answer of the base, of its perturbed models or of a trained model to these problems is correct." in text
    assert not re.search(r"undecided|verifier|before:|0\.0%", text)
    rows = json.loads(run_esprobe("--db", path, "report", "--budget", "--format", "json").stdout)
    assert {row["value"] for row in rows} == {0.0}
