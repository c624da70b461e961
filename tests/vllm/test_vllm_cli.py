"""The commands through vLLM: a sweep that is killed and continued equals one that was not, and the report reads it."""

import os
import re
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

from tests.conftest import ESPROBE, Run
from tests.helpers.midway import caught

ENV = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
TEMPERATURE = ("sample-temp", "--backend", "vllm", "-T", "0.8", "-n", "16", "--offset", "200", "--limit", "32")
PERTURBATION = (
    "sample-perturb",
    "--backend",
    "vllm",
    "--sigma",
    "0.01",
    "-n",
    "4",
    "--offset",
    "200",
    "--limit",
    "16",
    "--no-greedy",
)
ROLLOUTS = """
    SELECT arm.method, arm.value, rollout.draw, rollout.problem_id, rollout.text, rollout.tokens, rollout.finish
    FROM rollout JOIN arm ON arm.id = rollout.arm_id ORDER BY 1, 2, 3, 4
"""


def query(db: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(db)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_a_killed_sweep_continues_without_loss_or_repeat(esprobe: Run, tmp_path: Path, published: Path) -> None:
    command = (*TEMPERATURE, "--data", str(published))
    whole, cut = tmp_path / "whole.db", tmp_path / "cut.db"
    done = esprobe("--db", whole, *command, env=ENV)
    assert done.returncode == 0, done.stderr
    running = subprocess.Popen([ESPROBE, "--db", cut, *command], env=os.environ | ENV, stderr=subprocess.DEVNULL)
    with caught(running, cut, 1):
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert 0 < query(cut, "SELECT count(*) FROM rollout")[0][0] < 32 * 17
    again = esprobe("--db", cut, *command, env=ENV)
    assert again.returncode == 0, again.stderr
    assert query(cut, ROLLOUTS) == query(whole, ROLLOUTS)
    assert len(query(cut, ROLLOUTS)) == 32 * 17  # the greedy baseline is one draw


def test_perturbed_texts_are_the_transformers_backends_and_the_report_reads_them(
    esprobe: Run, tmp_path: Path, published: Path
) -> None:
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    for db, backend in ((ours, "vllm"), (theirs, "transformers")):
        command = [backend if word == "vllm" else word for word in PERTURBATION]
        done = esprobe("--db", db, *command, "--data", published, env=ENV)
        assert done.returncode == 0, done.stderr
    assert query(ours, ROLLOUTS) == query(theirs, ROLLOUTS)
    report = esprobe("--db", ours, "report", env=ENV)
    assert report.returncode == 0, report.stderr
    assert re.search(r"^ σ 0\.01 ", report.stdout, re.MULTILINE)
