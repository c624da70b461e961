"""Populations of perturbed models in a real sweep: σ drawn from a list, several samples from every model."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from esprobe.analysis.arms import Filter
from esprobe.analysis.overview import read_overview
from esprobe.analysis.reading import open_database
from esprobe.arms import perturbation_seed
from esprobe.errors import UserError
from esprobe.pipeline.meter import Quiet
from esprobe.pipeline.sample import sample
from esprobe.plan.sweep import Sweep
from esprobe.report.table import report
from esprobe.store.merge import merge

SWEEP = Sweep(
    "perturbation",
    (0.005, 0.02),
    draws=3,
    mixed=True,
    samples=2,
    temperatures=(0.8,),
    limit=3,
    max_new_tokens=48,
    greedy=False,
    batch_size=4,
)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models, extended to eight of the same arm."""
    db = tmp_path_factory.mktemp("populations") / "p.db"
    assert sample(SWEEP, db, "test", Quiet()).generated == 3 * 2 * 3
    assert sample(replace(SWEEP, draws=8), db, "test", Quiet()).generated == 5 * 2 * 3
    assert sample(SWEEP, db, "test", Quiet()).generated == 0
    return db


def rows(db: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql).fetchall()


def test_a_draws_row_says_its_model_and_its_sigma(sampled: Path) -> None:
    draws = rows(sampled, "SELECT number, seed, sigma FROM draw ORDER BY number")
    assert [number for number, _, _ in draws] == list(range(16))
    assert [seed for _, seed, _ in draws] == [perturbation_seed("iid", 42, model) for model in range(8) for _ in range(2)]
    assert {sigma for _, _, sigma in draws} == {0.005, 0.02}
    assert all(draws[i][1:] == draws[i + 1][1:] for i in range(0, 16, 2))
    assert rows(sampled, "SELECT DISTINCT value FROM arm_summary") == [(None,)]


def test_samples_of_one_model_differ_and_do_not_depend_on_what_was_there(sampled: Path, tmp_path: Path) -> None:
    texts = "SELECT draw, problem_id, text FROM rollout ORDER BY draw, problem_id"
    by_draw = {(draw, problem): text for draw, problem, text in rows(sampled, texts)}
    assert any(by_draw[0, problem] != by_draw[1, problem] for _, problem in by_draw)
    sample(replace(SWEEP, draws=8), tmp_path / "at-once.db", "test", Quiet())
    assert rows(tmp_path / "at-once.db", texts) == rows(sampled, texts)


def test_a_merge_believes_only_the_seeds_and_sigmas_that_the_arm_gives(sampled: Path, tmp_path: Path) -> None:
    assert merge(sampled, tmp_path / "mine.db").rollouts == 48
    for column, says in (("sigma", "σ 0.5"), ("seed", "seed 0, where")):
        other = tmp_path / f"{column}.db"
        shutil.copy(sampled, other)
        with closing(sqlite3.connect(other)) as connection:
            connection.execute(f"UPDATE draw SET {column} = {0.5 if column == 'sigma' else 0} WHERE number = 7")
            connection.commit()
        with pytest.raises(UserError, match=says):
            merge(other, tmp_path / "mine.db")


def test_the_report_splits_the_variance_between_and_within_models(sampled: Path) -> None:
    seen = read_overview(open_database(sampled), Filter())
    (split,) = seen.components.values()
    assert (split.problems, split.models, split.samples) == (3, 8, 2)
    said = report(seen, "markdown")
    assert "Variance of a verdict" in said
    assert "σ 0.005–0.02 mixed × 2 at T 0.8" in said
    assert seen.arms[0].at[1].interval is not None
    assert seen.arms[0].at[1].shared.models == 8
