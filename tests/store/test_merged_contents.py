"""What a merge takes over of an honest database: all of it, with what only one side knows, and a word of what may be lacking."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.arms import Update, trained_digest
from esprobe.store.merge import merge
from tests.conftest import Run
from tests.helpers.contents import rows
from tests.helpers.errors import one_line_error
from tests.store.conftest import Altered


def test_an_honest_database_is_merged_whole_with_what_newer_versions_note(made: Path, tmp_path: Path) -> None:
    merged = merge(made, tmp_path / "ours.db")
    assert (merged.rollouts, merged.scores, merged.unchecked) == (32, 32, ())
    for sql in (
        "SELECT prompt_tokens, tokens, finish, text FROM rollout ORDER BY arm_id, draw, problem_id",
        "SELECT scorer, correct, reason, answer, ballot, reward, expression FROM score ORDER BY arm_id, draw, problem_id",
        "SELECT number, seed, sigma FROM draw ORDER BY arm_id, number",
        "SELECT digest FROM prompt ORDER BY arm_id, problem_id",
        "SELECT * FROM problem ORDER BY id",
        "SELECT * FROM arm ORDER BY id",
    ):
        assert rows(tmp_path / "ours.db", sql) == rows(made, sql)


def test_what_this_version_does_not_know_is_merged_and_said(other: Altered, esprobe: Run) -> None:
    other(
        "INSERT INTO score (scorer, arm_id, draw, problem_id, correct, reason, answer, reward) "
        "SELECT 'lenient', arm_id, draw, problem_id, 1, 'generous', answer, 1.0 FROM score WHERE draw = 0"
    )
    done = esprobe("merge", "other.db")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("; merged unchecked, for this esprobe does not know them: 16 verdicts of scorer lenient\n")
    assert esprobe("merge", "other.db").stdout.startswith("0 of 32 rollouts merged")


def test_rounding_that_only_one_side_has_measured_is_kept(made: Path, other: Altered, tmp_path: Path) -> None:
    ours = Path(shutil.copy(made, tmp_path / "ours.db"))
    rounding = json.dumps({"groups": {"norm": {"weights": 9, "sigma": 0.5, "unchanged": 0.5}}})
    merge(other(f"UPDATE arm SET rounding = '{rounding}' WHERE id = 3"), ours)
    assert rows(ours, "SELECT id, rounding FROM arm WHERE rounding IS NOT NULL") == [(3, rounding)]
    merge(other("UPDATE arm SET rounding = NULL"), ours)
    assert rows(ours, "SELECT id, rounding FROM arm WHERE rounding IS NOT NULL") == [(3, rounding)]


@pytest.mark.parametrize("order", ["parent first", "parent last", "parent here"])
def test_a_trained_models_parent_is_found_in_any_order(made: Path, other: Altered, tmp_path: Path, order: str) -> None:
    ours = tmp_path / "ours.db"
    if order == "parent here":
        shutil.copy(made, ours)
    ids = (7, 8) if order == "parent first" else (9, 8)
    [(digest_of_m,)] = rows(made, "SELECT digest FROM model WHERE id = 1")
    update = Update((5,), (0.5,))
    record = json.dumps(update.record())
    one = trained_digest("base", [update])
    trained = other(
        f"""
        INSERT INTO model (id, digest, name) VALUES ({ids[0]}, 'base', 'base');
        INSERT INTO model (id, digest, name, parent_id, updates) VALUES ({ids[1]}, '{one}', 'one', {ids[0]}, '{record}');
        INSERT INTO model (id, digest, name, parent_id, updates)
          VALUES (2, '{trained_digest(one, [update])}', 'two', {ids[1]}, '{record}');
        INSERT INTO model (id, digest, name, parent_id, updates)
          VALUES (3, '{trained_digest(digest_of_m, [update])}', 'of m', 1, '{record}');
        """
    )
    for _ in range(2):
        merge(trained, ours)
        assert rows(
            ours,
            "SELECT child.name, parent.name FROM model AS child JOIN model AS parent ON parent.id = child.parent_id ORDER BY 1",
        ) == [("of m", "m"), ("one", "base"), ("two", "one")]


def test_a_database_without_rollouts_says_so(esprobe: Run, other: Altered) -> None:
    other("DELETE FROM score; DELETE FROM rollout; DELETE FROM draw")
    says = one_line_error(esprobe("merge", "other.db"), 1)
    assert "other.db: contains no rollouts" in says
    assert "-wal" in says


def test_a_copy_that_may_lack_its_newest_rollouts_says_so(esprobe: Run, tmp_path: Path, other: Altered) -> None:
    path = other("UPDATE run SET state = 'running', ended = NULL")
    said = esprobe("merge", path.name).stdout
    assert "1 run in it did not end: if the file was copied while that ran" in said
    with closing(sqlite3.connect(path)) as still_open:  # its log is next to it, so nothing is lacking
        still_open.execute("PRAGMA journal_mode = WAL")
        still_open.execute("UPDATE run SET message = 'on its way'")
        still_open.commit()
        assert (tmp_path / "other.db-wal").exists()
        assert "did not end" not in esprobe("--db", "another.db", "merge", path.name).stdout
