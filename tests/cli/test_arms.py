"""`esprobe arms` and `esprobe delete`: what there is, with its id, and how to be rid of it and of nothing else."""

import json
import os
import pty
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.analysis.arms import ListedArm
from esprobe.report.listing import arms_report
from tests.conftest import ESPROBE, HANGS_S, Run
from tests.helpers.errors import one_line_error
from tests.helpers.made import make

TABLES = ("score", "rollout", "draw", "prompt")
OTHERS = ("model", "problem", "run")


def counts(db: Path, arm: int) -> dict[str, tuple[int, int]]:
    """Table → rows of the arm, and of all others; of tables that have no arm all rows."""
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("pragma foreign_key_check").fetchall() == []
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        of = {t: f"SELECT coalesce(sum(arm_id = {arm}), 0), coalesce(sum(arm_id <> {arm}), 0) FROM {t}" for t in TABLES}
        of |= {table: f"SELECT 0, count(*) FROM {table}" for table in OTHERS}
        of["arm"] = f"SELECT coalesce(sum(id = {arm}), 0), coalesce(sum(id <> {arm}), 0) FROM arm"
        return {table: connection.execute(sql).fetchone() for table, sql in of.items()}


@pytest.fixture
def db(swept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(swept, tmp_path / "r.db"))


def test_arms_are_listed_with_their_ids_and_depth(esprobe: Run, db: Path) -> None:
    listed = json.loads(esprobe("--db", db, "arms", "--format", "json").stdout)
    assert [(a["arm_id"], a["method"], a["value"], a["problems"], a["draws"], a["rollouts"]) for a in listed] == [
        (1, "greedy", None, 12, 1, 12),
        (2, "temperature", 0.6, 12, 6, 72),
        (3, "temperature", 1.2, 12, 6, 72),
        (4, "perturbation", 0.01, 12, 6, 72),
        (5, "perturbation", 0.02, 12, 6, 72),
    ]
    assert json.loads(listed[1]["settings"])["seed"] == 42
    shown = esprobe("--db", db, "arms").stdout
    assert re.search(r"^  2  countdown-tiny  T 0.6 +countdown +12 +6 +72$", shown, re.MULTILINE)


def test_arms_of_several_tasks_have_their_task_in_its_column_alone() -> None:
    made = [("countdown", "float32"), ("gsm8k", "float32"), ("gsm8k", "float16")]
    arms = [ListedArm(i, t, "m", "d", "greedy", None, 4, 1, 4, None, {"task": t, "dtype": d}) for i, (t, d) in enumerate(made)]
    assert "=" not in arms_report(arms[:2], "table")
    assert "dtype=float16" in arms_report(arms[1:], "table")


def test_arms_that_nobody_scored_are_listed_too(esprobe: Run, tmp_path: Path) -> None:
    db = make(tmp_path / "r.db", [("greedy", None, {0: "+"})])
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("delete from score")
        connection.commit()
    assert "greedy" in esprobe("--db", db, "arms").stdout


def test_a_deleted_arm_is_gone_with_its_rows_and_the_sweep_makes_it_again(esprobe: Run, db: Path) -> None:
    before = counts(db, 2)
    assert esprobe("--db", db, "delete", "--arm", "2", "--yes").stdout == "72 rollouts deleted\n"
    after = counts(db, 2)
    assert {table: others for table, (_, others) in after.items()} == {table: others for table, (_, others) in before.items()}
    assert {own for own, _ in after.values()} == {0}
    again = esprobe("--db", db, "sample-temp", "-T", "0.6", "-T", "1.2", "-n", "6", "--limit", "12")
    assert again.stdout.startswith("72 of 156 rollouts generated")


def test_it_asks_and_takes_no_for_an_answer(esprobe: Run, db: Path) -> None:
    assert "add --yes" in one_line_error(esprobe("--db", db, "delete", "--arm", "2"), 1)
    for answer, says in ((b"n\n", "nothing was deleted"), (b"y\n", "72 rollouts deleted")):
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        words = [str(ESPROBE), "--db", str(db), "delete", "--arm", "2"]
        done = subprocess.run(words, stdin=theirs, capture_output=True, text=True, timeout=HANGS_S)
        os.close(ours)
        os.close(theirs)
        assert done.returncode == 0, done.stderr
        assert "delete arm 2, temperature 0.6 of countdown-tiny, with 72 rollouts?" in done.stdout
        assert says in done.stdout


def test_an_arm_that_something_needs_is_kept(esprobe: Run, db: Path, tmp_path: Path) -> None:
    assert "there is no arm 99" in one_line_error(esprobe("--db", db, "delete", "--arm", "99", "--yes"), 1)
    assert "no results yet" in one_line_error(esprobe("--db", tmp_path / "none.db", "delete", "--arm", "1", "--yes"), 1)
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("update run set state = 'running', machine = '{\"node\": \"elsewhere\"}' where id = 1")
        connection.commit()
    assert "run 1 may still write to arm 2" in one_line_error(esprobe("--db", db, "delete", "--arm", "2", "--yes"), 1)
    train = ["train", "--iterations", "1", "--population", "2", "--problems-per-iteration", "2", "--max-new-tokens", "8"]
    assert esprobe(*train).returncode == 0
    assert "members that es@1 was made of" in one_line_error(esprobe("delete", "--arm", "1", "--yes"), 1)
    assert "members of es@1" in esprobe("arms").stdout
