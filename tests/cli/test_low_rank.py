"""Low-rank noise as a user types it: an arm of its own, told apart, that merges and continues like any other."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.store.merge import merge
from tests.conftest import Run
from tests.helpers.errors import one_line_error

FEW = ("sample-perturb", "--sigma", "0.05", "--limit", "4")
LOW_RANK = (*FEW, "--noise", "low-rank")


def test_it_is_an_arm_of_its_own_that_reports_tell_apart(esprobe: Run, tmp_path: Path) -> None:
    assert esprobe(*LOW_RANK, "-n", "2").returncode == 0
    assert esprobe(*LOW_RANK, "-n", "4").stdout.startswith("8 of 20")
    assert esprobe(*LOW_RANK, "--rank", "2", "-n", "4").stdout.startswith("16 of 20")
    assert esprobe(*FEW, "-n", "4").stdout.startswith("16 of 20")
    db = tmp_path / "esprobe.db"
    with closing(sqlite3.connect(db)) as connection:
        settings = [json.loads(text) for (text,) in connection.execute("SELECT settings FROM arm WHERE value = 0.05 ORDER BY id")]
        seeds = connection.execute("SELECT seed, count(*) FROM draw WHERE seed IS NOT NULL GROUP BY seed").fetchall()
        texts = connection.execute("SELECT arm_id, group_concat(text, char(1)) FROM rollout GROUP BY arm_id").fetchall()
    assert [(found["noise"], found.get("rank")) for found in settings] == [("low-rank", 1), ("low-rank", 2), ("iid", None)]
    assert [count for _, count in seeds] == [3, 3, 3, 3]
    assert len({text for _, text in texts}) == len(texts) == 4
    shown = esprobe("report").stdout
    assert "low-rank noise moves linear layers only" in shown
    for words in ("σ 0.05, low-rank 1 ", "σ 0.05, low-rank 2 ", "σ 0.05 "):
        assert words in " ".join(shown.split())
    assert merge(db, tmp_path / "other.db").rollouts == 52
    assert esprobe("--db", "other.db", *LOW_RANK, "-n", "4").stdout.startswith("0 of 20")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*FEW, "--rank", "2"), "of --noise low-rank only"),
        ((*LOW_RANK, "--backend", "vllm"), "use --backend transformers"),
    ],
)
def test_what_cannot_be_is_refused(esprobe: Run, words: tuple[str, ...], said: str) -> None:
    assert said in one_line_error(esprobe(*words), 1)
