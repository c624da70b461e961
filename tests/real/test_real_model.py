"""A real published model, from sweep to page: both backends say the same, and an interrupted sweep loses and repeats nothing."""

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
ALL = PROMPTS * (1 + DRAWS)  # one greedy draw
ENV = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

pytestmark = pytest.mark.skipif(not MODEL, reason="make test-real fetches and converts the model, and names it by ESPROBE_REAL")


def command(backend: str) -> list[str]:
    """Units of one draw each, so that a sweep has several to be interrupted between."""
    sweep = ["sample-perturb", "--sigma", str(SIGMA), "-n", str(DRAWS), "--limit", str(PROMPTS), "--max-new-tokens", "16"]
    return [*sweep, "--batch-size", str(PROMPTS), "--model", MODEL, "--backend", backend]


def texts(db: Path, backend: str = "transformers") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(
            "SELECT method, value, draw, problem.digest, text, tokens, finish FROM rollout JOIN arm ON arm.id = arm_id "
            "JOIN problem ON problem.id = problem_id "
            "WHERE json_extract(settings, '$.backend') = ? ORDER BY 1, 2, 3, 4",
            [backend],
        ).fetchall()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the same sweep by both backends; the first was interrupted, and continued."""
    db = tmp_path_factory.mktemp("real") / "real.db"
    running = subprocess.Popen([ESPROBE, "--db", db, *command("transformers")], env=os.environ | ENV, stderr=subprocess.DEVNULL)
    with caught(running, db, 1):
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert 0 < len(texts(db)) < ALL
    for backend in ("transformers", "vllm"):
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
    assert {record["problems"] for record in json.loads(done.stdout)} == {PROMPTS}
    assert list((tmp_path / "plots").glob("*.png"))
    page = run_esprobe("--db", swept, "explore", "--out", tmp_path / "page.html")
    assert page.returncode == 0, page.stderr
    assert f"{PROMPTS} problems" in page.stdout
