"""Votes as the report has them equal the views, and their intervals claim no certainty."""

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.analysis.arms import Filter
from esprobe.analysis.overview import Overview, read_overview
from esprobe.analysis.reading import open_database, query
from esprobe.analysis.votes import KEYS
from tests.helpers.voted import VIEWS, Drawn, N, R, W, fill, some


def seen(path: Path) -> Overview:
    with closing(open_database(path)) as connection:
        return read_overview(connection, Filter(), votes=True)


@pytest.mark.parametrize(("view", "key"), list(zip(VIEWS, KEYS, strict=True)))
def test_votes_equal_the_view(tmp_path: Path, view: str, key: str) -> None:
    rng = random.Random(5)
    fill(tmp_path / "r.db", [some(rng) for _ in range(25)], view)
    found = seen(tmp_path / "r.db")
    with closing(open_database(tmp_path / "r.db")) as connection:
        rows = query(connection, f"SELECT arm_id, k, problems, vote_at_k FROM {view}")[1]
    assert len(rows) > 100
    for arm_id, k, problems, vote in rows:
        at = found.votes[arm_id].at(key, k)  # type: ignore[arg-type]
        assert at is not None
        assert (at.problems, at.vote_at_k) == (problems, pytest.approx(vote, abs=1e-12))


def test_one_vote_is_pass_at_1_with_its_interval(tmp_path: Path) -> None:
    arm: Drawn = {i: dict(enumerate([R, W, R, N][: 1 + i % 4])) for i in range(8)}
    fill(tmp_path / "r.db", [arm])
    (row,) = seen(tmp_path / "r.db").arms
    vote = seen(tmp_path / "r.db").votes[row.arm_id].at("value", 1)
    assert vote is not None
    assert vote.vote_at_k == pytest.approx(row.at[1].pass_at_k)
    assert [*(vote.interval or ())] == pytest.approx([*(row.at[1].interval or ())])


@pytest.mark.parametrize("votes", [[R, R, R, R], [W, W, W, W], [R, W, R, W]])
@pytest.mark.parametrize("problems", [1, 2, 5])
def test_few_problems_or_equal_outcomes_leave_no_interval_without_width(
    tmp_path: Path, votes: Sequence[object], problems: int
) -> None:
    fill(tmp_path / "r.db", [{i: dict(enumerate(votes)) for i in range(problems)}])  # type: ignore[arg-type]
    (row,) = seen(tmp_path / "r.db").arms
    for k in (1, 2, 4):
        vote = seen(tmp_path / "r.db").votes[row.arm_id].at("value", k)
        assert vote is not None
        assert vote.interval is not None
        assert vote.interval.high - vote.interval.low > 0.3
        assert vote.interval.low <= vote.vote_at_k <= vote.interval.high
