"""Models that another database or another program has trained: the shipped one, and a checkpoint with what was spent on it."""

import json
import shutil
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from esprobe.bundled import BASE
from esprobe.bundled.trained import TRAINED, shipped
from esprobe.engines.models import find_model
from esprobe.store.merge import merge
from tests.conftest import Run
from tests.helpers.errors import one_line_error

FEW = ("-T", "0.8", "-n", "1", "--limit", "16")


def rows(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql).fetchall()


def test_the_shipped_training_has_the_digest_that_is_recorded() -> None:
    path = files("esprobe.bundled") / f"{TRAINED}.json"
    recorded = json.loads(path.read_text())["digest"]
    assert shipped().digests[-1] == recorded
    assert shipped().root_digest == find_model(BASE).digest
    assert len(path.read_bytes()) <= 200_000


def test_the_shipped_model_answers_where_its_base_does_not(esprobe: Run, tmp_path: Path) -> None:
    for model in (TRAINED, BASE):
        done = esprobe("sample-temp", "--model", model, "-T", "0.8", "-n", "1")
        assert done.returncode == 0, done.stderr
    db, last = tmp_path / "esprobe.db", f"{TRAINED}@{len(shipped().updates)}"
    [(trained,)] = rows(db, f"SELECT correct FROM arm_summary WHERE method = 'greedy' AND model = '{last}'")
    [(base,)] = rows(db, f"SELECT correct FROM arm_summary WHERE method = 'greedy' AND model = '{BASE}'")
    assert trained >= 10 > base
    line = rows(db, "SELECT digest, json_extract(updates, '$.training.rollouts_spent') FROM model WHERE parent_id IS NOT NULL")
    assert dict(line) == dict.fromkeys(shipped().digests, shipped().rollouts)
    assert esprobe("sample-temp", "--model", last, "-T", "0.8", "-n", "1").stdout.startswith("0 of ")
    refused = esprobe("sample-temp", "--model", f"{TRAINED}@1000")
    assert f"there is no model {TRAINED}@1000" in one_line_error(refused, 1)
    shutil.copy(db, tmp_path / "copy.db")
    assert merge(tmp_path / "esprobe.db", tmp_path / "copy.db").models == 0


@pytest.fixture
def checkpoint(esprobe: Run, tmp_path: Path) -> Path:
    done = esprobe("export-model", f"{TRAINED}@1", "--out", "checkpoint")
    assert done.returncode == 0, done.stderr
    return tmp_path / "checkpoint"


def test_a_checkpoint_has_a_parent_and_what_was_spent_on_it(esprobe: Run, tmp_path: Path, checkpoint: Path) -> None:
    told = ("--model", checkpoint, "--trained-from", BASE, "--rollouts-spent", "3000", "--max-new-tokens", "8")
    assert esprobe("sample-temp", *told[:2], *told[-2:], *FEW).returncode == 0
    done = esprobe("sample-temp", *told, *FEW)
    assert done.stdout.startswith("0 of 32"), done.stderr
    db = tmp_path / "esprobe.db"
    query = "SELECT m.name, p.name, m.updates FROM model AS m JOIN model AS p ON p.id = m.parent_id"
    found = [(name, parent, json.loads(updates)) for name, parent, updates in rows(db, query)]
    assert found == [("checkpoint", BASE, {"training": {"rollouts_spent": 3000}})]
    merge(db, tmp_path / "other.db")
    assert [(n, p, json.loads(u)) for n, p, u in rows(tmp_path / "other.db", query)] == found
    assert "with other --rollouts-spent" in one_line_error(esprobe("sample-temp", *told[:-3], "5", *told[-2:], *FEW), 1)
    assert "belong together" in one_line_error(esprobe("sample-temp", *told[:4], *FEW), 1)
    itself = esprobe("sample-temp", "--model", BASE, *told[2:], *FEW)
    assert "--trained-from names the model before its training" in one_line_error(itself, 1)


def test_a_report_at_equal_budgets_counts_what_was_spent_on_a_checkpoint(esprobe: Run, checkpoint: Path) -> None:
    told = ("--trained-from", BASE, "--rollouts-spent", "3000")
    for model in (("--model", checkpoint, *told), ("--model", BASE)):
        assert esprobe("sample-temp", *model, *FEW, "--max-new-tokens", "8").returncode == 0
    done = esprobe("report", "--budget", "--format", "json")
    assert done.returncode == 0, done.stderr
    spent = {row["rollouts_before"] for row in json.loads(done.stdout) if row["kind"] == "trained"}
    assert spent == {3000}


def test_a_checkpoint_can_be_trained_further(esprobe: Run, tmp_path: Path, checkpoint: Path) -> None:
    told = ("--trained-from", BASE, "--rollouts-spent", "3000", "--max-new-tokens", "8")
    assert esprobe("sample-temp", "--model", checkpoint, *told, *FEW).returncode == 0
    small = ("--iterations", "1", "--population", "2", "--problems-per-iteration", "2", "--max-new-tokens", "8")
    assert esprobe("train", "--model", checkpoint, *small).returncode == 0
    again = esprobe("sample-temp", "--model", "es@1", *FEW, "--max-new-tokens", "8")
    assert again.returncode == 0, again.stderr
