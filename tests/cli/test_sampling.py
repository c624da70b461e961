"""Sampling as a user types it: interrupted, killed, repeated, extended, it ends with the same rollouts, each once."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from esprobe.analysis.runs import runs
from tests.conftest import ESPROBE, HANGS_S, Run, run_esprobe
from tests.helpers.errors import one_line_error
from tests.helpers.midway import caught, count
from tests.helpers.rollouts import Rollouts, rollouts


def stop_in_the_middle(args: list[str], folder: Path, sign: signal.Signals, after: int) -> subprocess.CompletedProcess[str]:
    """Starts the command and sends the signal once at least `after` rollouts are there."""
    process = subprocess.Popen(
        [str(ESPROBE), *args], cwd=folder, env=os.environ | {"HF_HUB_OFFLINE": "1"}, stderr=subprocess.PIPE, text=True
    )
    with caught(process, folder / "esprobe.db", after):
        process.send_signal(sign)
    _, stderr = process.communicate(timeout=HANGS_S)
    return subprocess.CompletedProcess(args, process.returncode, "", stderr)


TEMP = ["sample-temp", "-T", "0.6", "-n", "12", "--batch-size", "32", "--limit", "40"]
PERTURB = ["sample-perturb", "--sigma", "0.01", "-n", "12", "--batch-size", "32", "--limit", "40"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], Rollouts]:
    """The rollouts of a command that nothing disturbed, run once a command."""

    @cache
    def run(*args: str) -> Rollouts:
        folder = tmp_path_factory.mktemp("undisturbed")
        assert run_esprobe(*args, cwd=folder).returncode == 0
        return rollouts(folder / "esprobe.db")

    return lambda args: run(*args)


@pytest.mark.parametrize("args", [TEMP, PERTURB], ids=["temperature", "perturbation"])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "kill", "kill-9"])
def test_a_stopped_sweep_continues_without_loss_or_repeat(
    esprobe: Run, undisturbed: Callable[[list[str]], Rollouts], tmp_path: Path, args: list[str], sign: signal.Signals
) -> None:
    stopped = stop_in_the_middle(args, tmp_path, sign, after=100)
    assert stopped.returncode == (-9 if sign == signal.SIGKILL else 130)
    if sign != signal.SIGKILL:
        assert stopped.stderr.strip().splitlines()[-1].startswith("error: interrupted; what was finished is kept")
    db = tmp_path / "esprobe.db"
    kept = rollouts(db)
    assert 100 <= len(kept) < 40 * 13
    assert count(db, "score") == len(kept)
    assert esprobe(*args).returncode == 0
    finished = rollouts(db)
    assert finished == undisturbed(args)
    assert len(finished) == 40 * 13
    assert kept.items() <= finished.items()
    with closing(sqlite3.connect(db)) as connection:
        states = [state for (state,) in connection.execute("select state from run order by id")]
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        listed = runs(connection)
    assert all(run.seconds and run.per_second for run in listed)  # of a killed one until it last wrote
    assert states == ["killed" if sign == signal.SIGKILL else "interrupted", "done"]


def test_the_same_command_again_generates_nothing(esprobe: Run, tmp_path: Path) -> None:
    args = ["sample-temp", "-T", "0.6", "-n", "3", "--limit", "8"]
    first = esprobe(*args)
    assert first.stdout.startswith("32 of 32 rollouts generated")
    again = esprobe(*args)
    assert again.stdout.startswith("0 of 32 rollouts generated")
    assert count(tmp_path / "esprobe.db", "run") == 1
    other = esprobe("sample-perturb", "--sigma", "0.01", "-n", "2", "--limit", "8")
    assert other.stdout.startswith("16 of 24 rollouts generated")  # the greedy baseline is shared


@pytest.mark.parametrize("args", [["sample-temp", "-T", "0.6"], ["sample-perturb", "--sigma", "0.01"]], ids=["temp", "perturb"])
def test_an_extended_arm_equals_one_made_at_once(esprobe: Run, tmp_path: Path, args: list[str]) -> None:
    for name, counts in (("steps", [3, 5, 11]), ("once", [11])):
        folder = tmp_path / name
        folder.mkdir()
        for n in counts:
            assert esprobe(*args, "-n", n, "--limit", 6, cwd=folder).returncode == 0
    steps, once = (rollouts(tmp_path / name / "esprobe.db") for name in ("steps", "once"))
    assert steps == once
    assert len(once) == 6 * 12


def test_texts_do_not_depend_on_the_batch_size(esprobe: Run, tmp_path: Path) -> None:
    for size in (5, 128):
        folder = tmp_path / str(size)
        folder.mkdir()
        for args in (["sample-temp", "-T", "0.9"], ["sample-perturb", "--sigma", "0.01"]):
            assert esprobe(*args, "-n", 4, "--limit", 16, "--batch-size", size, cwd=folder).returncode == 0
    assert rollouts(tmp_path / "5/esprobe.db") == rollouts(tmp_path / "128/esprobe.db")


def test_published_problems_are_sampled_as_typed(esprobe: Run, tmp_path: Path, published: Path) -> None:
    args = ["sample-temp", "-T", "0.6", "-n", "2", "--data", published, "--offset", "200", "--limit", "128"]
    assert esprobe(*args).stdout.startswith("384 of 384 rollouts generated")
    shown = esprobe("report", "-k", "1", "-k", "512", "-k", "2")
    assert shown.returncode == 0
    assert "126 of 128 problems (98.4%) can be solved, 2 are proven impossible" in shown.stdout
    assert next(line.split() for line in shown.stdout.splitlines() if line.startswith(" chance"))[:2] == ["chance", "1.7%"]


def test_debug_and_presets(esprobe: Run, tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text("limit = 4\nmax-new-tokens = 8\n[sample-temp]\ntemperature = [0.5, 0.7]\nsamples = 2\n")
    assert esprobe("sample-temp", "--preset", preset).stdout.startswith("20 of 20")
    assert esprobe("sample-temp", "--preset", preset, "-T", "0.5", "--limit", "3").stdout.startswith("0 of 9")
    assert esprobe("sample-temp", "--preset", preset, env={"ESPROBE_SAMPLES": "3"}).stdout.startswith("8 of 28")
    debug = esprobe("sample-temp", "-T", "0.9", "-T", "1.1", "--max-new-tokens", "4", "--debug")
    assert debug.stdout.startswith(f"{32 * 33:,} of {32 * 33:,}")
    preset.write_text(
        "limit = 2\nseed = 7\nmax-new-tokens = 8\n[train]\niterations = 1\npopulation = 2\nproblems-per-iteration = 2\n"
    )
    assert esprobe("train", "--preset", preset).stdout.startswith("es@1: 4 rollouts")
    assert "trained with --seed 7, not 8" in esprobe("train", "--preset", preset, "--seed", "8").stderr
    preset.write_text("colour = 3\n")
    refused = esprobe("sample-temp", "--preset", preset)
    assert refused.returncode == 1
    assert "'colour' is not an option" in refused.stderr


def test_truncated_temperatures_are_arms_of_their_own_with_names_that_say_so(esprobe: Run, tmp_path: Path) -> None:
    args = ["sample-temp", "-T", "0.8", "-n", "2", "--limit", "4", "--max-new-tokens", "8"]
    assert esprobe(*args).stdout.startswith("12 of 12")
    nucleus = esprobe(*args, "--top-p", "0.95")
    assert nucleus.stdout.startswith("8 of 12")
    assert "temperature 0.8, top-p 0.95: 8 of 8 rollouts" in nucleus.stderr
    assert esprobe(*args, env={"ESPROBE_TOP_P": "0.95"}).stdout.startswith("0 of 12")
    assert esprobe(*args, env={"ESPROBE_TOP_K": "3", "ESPROBE_MIN_P": "0.1"}).stdout.startswith("8 of 12")
    preset = tmp_path / "mine.toml"
    preset.write_text("[sample-temp]\ntop-k = 3\nmin-p = 0.1\n")
    assert esprobe(*args, "--preset", preset).stdout.startswith("0 of 12")
    report = esprobe("report").stdout
    for name in ("T 0.8 ", "T 0.8, top-p 0.95 ", "T 0.8, top-k 3, min-p 0.1 "):
        assert f"\n {name}" in report
    refused = esprobe(*args, "--top-p", "0")
    assert one_line_error(refused, 1) == "error: --top-p must be above 0 and at most 1, not 0"
    assert "No such option" in esprobe("sample-perturb", "--top-p", "0.9").stderr


@pytest.mark.parametrize("preset", ["paper", "es-at-scale"])
def test_the_published_training_is_on_the_first_200_problems(esprobe: Run, tmp_path: Path, published: Path, preset: str) -> None:
    short = ("--model", "countdown-tiny", "--dtype", "float32", "--max-new-tokens", "1", "--iterations", "1", "--population", "2")
    done = esprobe("train", "--preset", preset, "--data", published, *short)
    assert done.stdout.startswith("es@1: 400 rollouts"), done.stderr
    settings = json.loads(esprobe("sql", "SELECT updates FROM model WHERE parent_id IS NOT NULL", "--format", "json").stdout)
    made = json.loads(settings[0]["updates"])["training"]
    wanted = {"sigma": 0.001, "learning_rate": 0.0005, "reward": "reward", "seed": 42}
    assert {key: made[key] for key in wanted} == wanted


def test_the_database_can_be_named_in_three_ways(esprobe: Run, tmp_path: Path) -> None:
    args = ["sample-temp", "-T", "0.5", "-n", "1", "--limit", "2", "--max-new-tokens", "2"]
    assert esprobe("--db", "a.db", *args).returncode == 0
    assert esprobe(*args, "--db", "b.db").returncode == 0
    assert esprobe(*args, env={"ESPROBE_DB": "c.db"}).returncode == 0
    assert all(count(tmp_path / f"{name}.db") == 4 for name in "abc")


def test_two_sweeps_write_one_database_at_once(undisturbed: Callable[[list[str]], Rollouts], tmp_path: Path) -> None:
    started = [
        subprocess.Popen([str(ESPROBE), *args], cwd=tmp_path, stderr=subprocess.PIPE, text=True) for args in (TEMP, PERTURB, TEMP)
    ]
    for process in started:
        _, stderr = process.communicate(timeout=HANGS_S)
        assert process.returncode == 0, stderr
    assert rollouts(tmp_path / "esprobe.db") == undisturbed(TEMP) | undisturbed(PERTURB)


def test_score_import_runs_and_sql(esprobe: Run, swept: Path, tmp_path: Path) -> None:
    db = tmp_path / "esprobe.db"
    shutil.copy(swept, db)
    assert esprobe("score", "--scorer", "countdown-published").stdout == f"{count(db):,} rollouts scored by countdown-published\n"
    assert esprobe("score").stdout == "0 rollouts scored by countdown\n"
    assert "countdown-published" in esprobe("report", "--scorer", "countdown-published").stdout
    lines = tmp_path / "theirs.jsonl"
    lines.write_text(
        '{"numbers": [44, 19, 35], "target": 98, "draw": 0, "text": "<answer>44+19+35</answer>"}\n'
        '{"nums": [44, 19, 35], "target": "98", "draw": 1, "text": "\\u001b[31m</script><answer>1</answer>"}\n'
    )
    taken = esprobe("import", lines, "--model", "theirs", "--method", "temperature", "--value", "0.7")
    assert taken.stdout == "2 of 2 rollouts imported\n"
    again = esprobe("import", lines, "--model", "theirs", "--method", "temperature", "--value", "0.7")
    assert again.stdout.startswith("0 of 2")
    query = "select draw, correct, answer, reason from rollout_text where model = 'theirs' order by draw"
    assert esprobe("sql", query, "--format", "csv").stdout == (
        "draw,correct,answer,reason\n0,1,44+19+35,correct\n1,0,1,wrong_numbers\n"
    )
    assert "\x1b" not in esprobe("sql", "select text from rollout_text where model = 'theirs'").stdout
    assert esprobe("runs", "--format", "csv").stdout.count(",done,") == 3
    assert "theirs" in esprobe("report", "--model", "theirs").stdout
    (tmp_path / "word.jsonl").write_text('{"question": "?", "answer": "#### 3", "draw": 0, "text": "#### 3"}\n')
    assert esprobe("import", tmp_path / "word.jsonl", "--task", "gsm8k").returncode == 0
    assert "one task at a time; --scorer scores another: gsm8k" in esprobe("score").stderr
    lines.write_text(lines.read_text() + '{"numbers": [44, 19, 35], "target": 98, "draw": 0, "text": "other"}\n')
    refused = esprobe("import", lines, "--model", "theirs", "--method", "temperature", "--value", "0.7")
    assert refused.returncode == 1
    assert "line 3: draw 0 of this problem occurs twice" in refused.stderr
