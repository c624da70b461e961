"""Training: updates follow from the rows alone, an interrupted training ends as an undisturbed one, and names mean one thing."""

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esprobe.store.merge import merge
from tests.conftest import ESPROBE, Run, run_esprobe
from tests.helpers.errors import one_line_error
from tests.helpers.midway import caught, count
from tests.helpers.rollouts import rollouts

SMALL = ("--population", "4", "--problems-per-iteration", "6", "--limit", "20", "--sigma", "0.02", "--max-new-tokens", "40")


def rows(db: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql, values).fetchall()


def models(db: Path) -> list[tuple[Any, ...]]:
    return rows(db, "SELECT digest, name, updates FROM model ORDER BY digest")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three iterations; read it, do not change it."""
    folder = tmp_path_factory.mktemp("trained")
    done = run_esprobe("train", "--iterations", "3", *SMALL, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "esprobe.db"


def test_an_update_follows_from_the_rows_by_the_published_rule(trained: Path) -> None:
    changed = 0
    for iteration in (1, 2, 3):
        [(arm, record)] = rows(trained, "SELECT arm_id, updates FROM model WHERE name = ?", f"es@{iteration}")
        scores = rows(trained, "SELECT avg(correct), count(*) FROM score WHERE arm_id = ? GROUP BY draw ORDER BY draw", arm)
        rewards = np.array([reward for reward, _ in scores])
        assert [problems for _, problems in scores] == [6] * 4
        z = (rewards - rewards.mean()) / (rewards.std() + 1e-8)
        update = json.loads(record)
        assert update["seeds"] == [
            seed for (seed,) in rows(trained, "SELECT seed FROM draw WHERE arm_id = ? ORDER BY number", arm)
        ]
        assert np.allclose(update["coefficients"], 0.005 / 4 * z, rtol=1e-6, atol=1e-15)
        changed += rewards.std() > 0
    assert changed


def test_every_iteration_has_noise_and_problems_of_its_own(trained: Path) -> None:
    seeds = rows(trained, "SELECT seed FROM draw WHERE seed IS NOT NULL")
    assert len(set(seeds)) == len(seeds) == 3 * 4
    used = rows(trained, "SELECT DISTINCT arm_id, problem_id FROM rollout")
    assert len(used) == len({problem for _, problem in used}) == 3 * 6  # of 20: none comes again before all had their turn


def test_the_view_says_what_was_spent_and_won(trained: Path) -> None:
    found = rows(
        trained,
        "SELECT model, name, iteration, parent, rollouts_spent, tokens_spent, members, mean_reward, best_reward FROM training",
    )
    assert [row[:5] for row in found] == [
        ("es@1", "es", 1, "countdown-tiny", 24),
        ("es@2", "es", 2, "es@1", 48),
        ("es@3", "es", 3, "es@2", 72),
    ]
    tokens = 0
    for row in found:
        [(arm,)] = rows(trained, "SELECT arm_id FROM model WHERE name = ?", row[0])
        rewards = rows(trained, "SELECT avg(reward) FROM score WHERE arm_id = ? GROUP BY draw", arm)
        tokens += rows(trained, "SELECT sum(tokens) FROM rollout WHERE arm_id = ?", arm)[0][0]
        assert row[5:7] == (tokens, 4)
        assert row[7] == pytest.approx(sum(reward for (reward,) in rewards) / 4)
        assert row[8] == pytest.approx(max(reward for (reward,) in rewards))


def test_the_same_command_generates_nothing_and_a_longer_training_goes_on(trained: Path, tmp_path: Path, esprobe: Run) -> None:
    shutil.copy(trained, tmp_path / "esprobe.db")
    again = esprobe("train", "--iterations", "3", *SMALL)
    assert again.stdout.startswith("es@3: 0 rollouts generated")
    longer = esprobe("train", "--iterations", "4", *SMALL)
    assert longer.stdout.startswith("es@4: 24 rollouts generated")
    kept = [row for row in models(tmp_path / "esprobe.db") if row[1] != "es@4"]
    assert kept == models(trained)


@pytest.mark.parametrize("engines", [1, 2])
def test_a_training_killed_at_any_moment_ends_as_an_undisturbed_one(
    trained: Path, tmp_path: Path, esprobe: Run, engines: int
) -> None:
    db = tmp_path / "esprobe.db"
    command = [str(ESPROBE), "--db", str(db), "train", "--iterations", "3", *SMALL, "--engines", str(engines)]
    for wanted in (3, 30):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        with caught(process, db, wanted):
            process.kill()
            process.wait()
    assert 0 < count(db) < 72
    done = esprobe("--db", db, *command[3:])
    assert done.returncode == 0, done.stderr
    assert models(db) == models(trained)
    assert rollouts(db) == rollouts(trained)


def test_halves_that_are_merged_go_on_as_one_training(trained: Path, tmp_path: Path, esprobe: Run) -> None:
    assert esprobe("--db", "short.db", "train", "--iterations", "2", *SMALL).returncode == 0
    merge(trained, tmp_path / "short.db")
    assert models(tmp_path / "short.db") == models(trained)
    assert esprobe("--db", "short.db", "train", "--iterations", "3", *SMALL).stdout.startswith("es@3: 0 rollouts generated")
    columns = "model, parent, rollouts_spent, mean_reward FROM training"
    assert rows(tmp_path / "short.db", f"SELECT {columns}") == rows(trained, f"SELECT {columns}")


def test_a_false_update_is_not_merged(trained: Path, tmp_path: Path, esprobe: Run) -> None:
    shutil.copy(trained, tmp_path / "false.db")
    with closing(sqlite3.connect(tmp_path / "false.db")) as connection, connection:
        [(text,)] = connection.execute("SELECT updates FROM model WHERE name = 'es@2'").fetchall()
        record = json.loads(text)
        record["coefficients"][0] += 0.01
        connection.execute("UPDATE model SET updates = ? WHERE name = 'es@2'", (json.dumps(record),))
    refused = esprobe("--db", "ours.db", "merge", "false.db")
    assert "es@2 has digest" in one_line_error(refused, 1)


def test_a_trained_model_is_sampled_exported_and_the_same_there(trained: Path, tmp_path: Path, esprobe: Run) -> None:
    shutil.copy(trained, tmp_path / "esprobe.db")
    asked = ("-T", "0.8", "-n", "1", "--limit", "6", "--max-new-tokens", "40")
    assert esprobe("sample-temp", "--model", "es@3", *asked).returncode == 0
    assert esprobe("export-model", "es@3", "--out", "es-3").returncode == 0
    assert esprobe("--db", "other.db", "sample-temp", "--model", "es-3", *asked).returncode == 0

    def greedy(db: str) -> list[tuple[Any, ...]]:
        return rows(tmp_path / db, "SELECT payload, text FROM rollout_text WHERE method = 'greedy' ORDER BY payload")

    assert len(greedy("esprobe.db")) == 6
    assert greedy("esprobe.db") == greedy("other.db")
    assert "is there already" in one_line_error(esprobe("export-model", "es@3", "--out", "es-3"), 1)


def test_names_mean_one_training(trained: Path, tmp_path: Path, esprobe: Run) -> None:
    shutil.copy(trained, tmp_path / "esprobe.db")
    short = ("train", "--iterations", "1")
    other_rate = esprobe(*short, *SMALL, "--learning-rate", "0.1")
    assert "es@1 was trained with --learning-rate 0.005, not 0.1; take another --name" in one_line_error(other_rate, 1)
    other_problems = esprobe(*short, *SMALL[:-6], "--limit", "19", *SMALL[-4:])
    assert "from another model, on other problems or by another engine; take another --name" in one_line_error(other_problems, 1)
    same = esprobe(*short, *SMALL, "--name", "twin")
    assert same.returncode == 1
    assert "error: twin@1 would be es@1 again" in same.stderr
    assert "no trained model es@9" in one_line_error(esprobe("sample-temp", "--model", "es@9"), 1)
    assert "has no @" in one_line_error(esprobe(*short, *SMALL, "--name", "a@b"), 1)
    assert "there are only 20 training problems" in one_line_error(
        esprobe(*short, *SMALL[:2], "--problems-per-iteration", "21", *SMALL[4:]), 1
    )


def test_seeds_make_models_of_their_own_and_tests_are_sampled_on_the_way(tmp_path: Path, esprobe: Run) -> None:
    (tmp_path / "tests.jsonl").write_text('{"numbers": [44, 19, 35], "target": "98"}\n{"numbers": [3, 4, 5], "target": "60"}\n')
    done = esprobe(
        *("train", "--iterations", "2", *SMALL, "--seed", "1,2"),
        *("--evaluate-every", "1", "--test-data", "tests.jsonl", "-T", "0.8", "-n", "3"),
    )
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "esprobe.db", "SELECT model, method, rollouts FROM arm_summary WHERE problems = 2 ORDER BY 1, 2")
    names = ["countdown-tiny", "es-1@1", "es-1@2", "es-2@1", "es-2@2"]
    assert found == [(name, method, rollouts) for name in names for method, rollouts in (("greedy", 2), ("temperature", 6))]


def test_what_is_trained_on_is_not_what_is_evaluated_on(tmp_path: Path, esprobe: Run) -> None:
    done = esprobe("train", "--iterations", "3", *SMALL, "--evaluate-every", "2")
    assert done.returncode == 0, done.stderr
    greedy = rows(tmp_path / "esprobe.db", "SELECT model, problems FROM arm_summary WHERE method = 'greedy' ORDER BY 1")
    assert greedy == [("countdown-tiny", 128), ("es@2", 128), ("es@3", 128)]  # the task's own
    trained_on, asked = (
        {
            problem
            for (problem,) in rows(tmp_path / "esprobe.db", f"SELECT problem_id FROM rollout JOIN arm ON arm.id = arm_id {of}")
        }
        for of in ("WHERE method = 'perturbation'", "WHERE method = 'greedy'")
    )
    assert len(trained_on) == 18
    again = esprobe("sample-temp", "--training-problems", "-T", "0.5", "-n", "1", "--limit", "20", "--max-new-tokens", "40")
    assert again.stdout.startswith("40 of 40")
    greedy = rows(
        tmp_path / "esprobe.db", "SELECT DISTINCT problem_id FROM rollout JOIN arm ON arm.id = arm_id WHERE method = 'greedy'"
    )
    assert trained_on < {problem for (problem,) in greedy} - asked
    assert not trained_on & asked
