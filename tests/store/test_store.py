"""What `Store.save` promises: a unit is written whole or not at all, and what is there stays as it is."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from esprobe.analysis.reading import open_database, query
from esprobe.arms import Arm
from esprobe.errors import UserError
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Score
from esprobe.tasks.countdown.task import Countdown


@pytest.fixture
def opened(tmp_path: Path) -> tuple[Store, int, int, list[int]]:
    """(store, arm, run, problems)."""
    task, store = Countdown(), Store(tmp_path / "r.db")
    problems = task.bundled()[:2]
    store.add_problems([(p, task.facts(p)) for p in problems])
    return store, store.arm_id(Arm("m", "d", "perturbation", 0.5)), store.start_run("test", {}, {}), store.problem_ids(problems)


def rows_of(store: Store, sql: str) -> list[tuple[object, ...]]:
    return query(open_database(store.path), sql)[1]


def test_a_saved_rollout_is_kept_as_it_was_given(opened: tuple[Store, int, int, list[int]]) -> None:
    store, arm, run, (first, second) = opened
    given = [
        RolloutRow(3, first, "one", 7, "stop", Score(True, "correct", "2 + 1", "3", 1.0, "1+2"), 100),
        RolloutRow(4, second, "two", None, "length", Score(False, "no_answer", None, None, 0.0)),
    ]
    store.save(arm, run, "countdown", given, {3: 2**62, 4: 5})
    other = [RolloutRow(r.draw, r.problem_id, "other", 1, "nan", Score(False, "wrong_value", "9", "9", 0.1)) for r in given]
    store.save(arm, run, "countdown", other, {3: 2**62, 4: 5})
    assert rows_of(store, "SELECT draw, problem_id, text, tokens, prompt_tokens, finish, arm_id, run_id FROM rollout") == [
        (3, first, "one", 7, 100, "stop", arm, run),
        (4, second, "two", None, None, "length", arm, run),
    ]
    assert rows_of(
        store, "SELECT draw, problem_id, scorer, correct, reason, answer, ballot, reward, expression, arm_id FROM score"
    ) == [
        (3, first, "countdown", 1, "correct", "2 + 1", "3", 1.0, "1+2", arm),
        (4, second, "countdown", 0, "no_answer", None, None, 0.0, None, arm),
    ]
    assert rows_of(store, "SELECT arm_id, number, seed, sigma FROM draw") == [(arm, 3, 2**62, 0.5), (arm, 4, 5, 0.5)]
    assert store.done(arm) == {(3, first), (4, second)}


def test_a_unit_is_saved_whole_or_not_at_all(opened: tuple[Store, int, int, list[int]]) -> None:
    store, arm, run, (first, _) = opened
    verdict = Score(True, "correct", "1", "1", 1.0)
    with pytest.raises(UserError, match="FOREIGN KEY"):
        store.save(arm, run, "countdown", [RolloutRow(0, i, "text", 1, "stop", verdict) for i in (first, 999)])
    for table in ("draw", "rollout", "score"):
        assert rows_of(store, f"SELECT * FROM {table}") == []


def test_a_row_that_the_users_own_index_refuses_is_an_error_and_not_left_out(opened: tuple[Store, int, int, list[int]]) -> None:
    store, arm, run, (first, second) = opened
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("CREATE UNIQUE INDEX no_text_twice ON rollout (text)")
    row = RolloutRow(0, first, "same", 1, "stop", Score(True, "correct", "1", "1", 1.0))
    assert store.save(arm, run, "countdown", [row]) == 1
    assert store.save(arm, run, "countdown", [row]) == 0
    with pytest.raises(UserError, match=r"UNIQUE constraint failed: rollout\.text"):
        store.save(arm, run, "countdown", [replace(row, problem_id=second)])


def test_a_verdict_on_a_text_that_another_process_did_not_write_is_not_kept(opened: tuple[Store, int, int, list[int]]) -> None:
    store, arm, run, (first, second) = opened
    right, wrong = Score(True, "correct", "1", "1", 1.0), Score(False, "wrong_value", "2", "2", 0.0)
    store.save(arm, run, "countdown-published", [RolloutRow(0, first, "theirs", 1, "stop", wrong)])
    rows = [RolloutRow(0, first, "ours", 1, "stop", right), RolloutRow(0, second, "ours", 1, "stop", right)]
    assert store.save(arm, run, "countdown", rows) == 1
    assert rows_of(store, "SELECT problem_id, scorer FROM score ORDER BY 1") == [
        (first, "countdown-published"),
        (second, "countdown"),
    ]
