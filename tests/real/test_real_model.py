"""A real published model, from sweep to page, and trained: both backends do the same, and what is interrupted loses nothing."""

import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ESPROBE, run_esprobe
from tests.helpers.midway import caught

MODEL = os.environ.get("ESPROBE_REAL", "")
PROMPTS, DRAWS, SIGMA = 8, 2, 0.003
BACKENDS = ("transformers", "vllm")
ALL = PROMPTS * (1 + DRAWS)  # one greedy draw
ENV = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

pytestmark = pytest.mark.skipif(not MODEL, reason="make test-real fetches and converts the model, and names it by ESPROBE_REAL")


def command(backend: str) -> list[str]:
    """Units of one draw each, so that a sweep has several to be interrupted between."""
    sweep = ["sample-perturb", "--sigma", str(SIGMA), "-n", str(DRAWS), "--limit", str(PROMPTS), "--max-new-tokens", "16"]
    return [*sweep, "--batch-size", str(PROMPTS), "--model", MODEL, "--backend", backend]


def rows(db: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql, values).fetchall()


def texts(db: Path, backend: str = "transformers") -> list[tuple[Any, ...]]:
    return rows(
        db,
        "SELECT method, value, draw, problem.digest, text, tokens, finish FROM rollout JOIN arm ON arm.id = arm_id "
        "JOIN problem ON problem.id = problem_id "
        "WHERE json_extract(settings, '$.backend') = ? ORDER BY 1, 2, 3, 4",
        backend,
    )


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the same sweep by both backends; the first was interrupted, and continued."""
    db = tmp_path_factory.mktemp("real") / "real.db"
    running = subprocess.Popen([ESPROBE, "--db", db, *command("transformers")], env=os.environ | ENV, stderr=subprocess.DEVNULL)
    with caught(running, db, 1):
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert 0 < len(texts(db)) < ALL
    for backend in BACKENDS:
        done = run_esprobe("--db", db, *command(backend), env=ENV)
        assert done.returncode == 0, done.stderr
    return db


def test_both_backends_say_the_same_greedily_and_perturbed(swept: Path) -> None:
    ours, vllm = texts(swept), texts(swept, "vllm")
    assert len(ours) == ALL
    assert ours == vllm
    greedy = {text for method, _, _, _, text, *_ in ours if method == "greedy"}
    assert any(text not in greedy for method, _, _, _, text, *_ in ours if method == "perturbation")  # σ changes something


def test_an_interrupted_sweep_equals_one_that_was_not(swept: Path, tmp_path: Path) -> None:
    done = run_esprobe("--db", tmp_path / "whole.db", *command("transformers"), env=ENV)
    assert done.returncode == 0, done.stderr
    assert texts(tmp_path / "whole.db") == texts(swept)
    again = run_esprobe("--db", swept, *command("transformers"), env=ENV)
    assert again.stdout.startswith(f"0 of {ALL} rollouts generated")


def test_report_plots_and_page_are_made_of_it(swept: Path, tmp_path: Path) -> None:
    done = run_esprobe("--db", swept, "report", "--format", "json", "--plots", tmp_path / "plots")
    assert done.returncode == 0, done.stderr
    records = json.loads(done.stdout)
    assert {record["problems"] for record in records} == {PROMPTS}
    solved = any(record["correct"] for record in records)
    assert bool(list((tmp_path / "plots").glob("*.png"))) == solved
    assert solved or "no draw of any arm is correct" in done.stderr  # of a model that solves nothing nothing is drawn
    page = run_esprobe("--db", swept, "explore", "--out", tmp_path / "page.html")
    assert page.returncode == 0, page.stderr
    assert f"{PROMPTS} problems" in page.stdout


EASY = [*((f"Write \\boxed{{{n}}} and nothing else.", n) for n in (7, 12, 3)), ("What is 10 + 5? Answer with \\boxed{}.", 15)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`BACKEND.db` of each with the same two iterations, and greedy texts of what came out; `easy.jsonl` beside them."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "easy.jsonl").write_text("".join(json.dumps({"question": q, "answer": f"#### {a}"}) + "\n" for q, a in EASY))
    training = ["train", "--iterations", "2", "--population", "4", "--problems-per-iteration", "4", "--sigma", "0.005"]
    for backend in BACKENDS:
        evaluated = [*training, "--learning-rate", "0.005", "--test-data", "easy.jsonl"]
        run(folder, "--db", f"{backend}.db", *evaluated, "--model", MODEL, *on_easy(backend))
    return folder


def on_easy(backend: str) -> list[str]:
    return ["--task", "gsm8k", "--data", "easy.jsonl", "--max-new-tokens", "16", "--backend", backend]


def run(folder: Path, *words: str) -> None:
    done = run_esprobe(*words, cwd=folder, env=ENV)
    assert done.returncode == 0, done.stderr


def test_both_backends_train_the_same_model(trained: Path) -> None:
    sql = "SELECT name, digest, updates FROM model WHERE name LIKE 'es@%' ORDER BY name"
    made = [rows(trained / f"{backend}.db", sql) for backend in BACKENDS]
    assert [name for name, _, _ in made[0]] == ["es@1", "es@2"]
    assert any(any(json.loads(updates)["coefficients"]) for _, _, updates in made[0])
    assert made[0] == made[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_exported_model_says_what_the_trained_one_says(trained: Path, backend: str) -> None:
    run(trained, "--db", f"{backend}.db", "export-model", "es@2", "--out", backend)
    run(trained, "--db", f"of-{backend}.db", "sample-temp", "--model", backend, "-T", "1", "-n", "1", *on_easy(backend))
    sql = "SELECT payload, text FROM rollout_text WHERE method = 'greedy' {} ORDER BY payload"
    said = rows(trained / f"{backend}.db", sql.format("AND model = 'es@2'"))
    assert len(said) == len(EASY)
    assert said == rows(trained / f"of-{backend}.db", sql.format(""))
