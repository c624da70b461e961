"""The view `vote_at_k` equals a plain count of every block's ballots, in exact fractions."""

import random
import sqlite3
from collections import Counter
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest

from esprobe.analysis.reading import open_database, query
from tests.helpers.voted import VIEWS, Drawn, N, R, V, Vote, W, fill, some


def share(votes: list[Vote]) -> Fraction:
    """The probability that the most frequent ballot is correct, a tie broken at random."""
    counts = Counter(ballot for ballot, _ in votes if ballot is not None)
    leaders = [ballot for ballot in counts if counts[ballot] == max(counts.values())]
    right = {ballot for ballot, correct in votes if correct}
    return Fraction(sum(ballot in right for ballot in leaders), len(leaders)) if leaders else Fraction(0)


def expected(arm: Drawn) -> dict[int, tuple[int, Fraction]]:
    """k → (problems, vote@k)."""
    most = max(map(len, arm.values()))
    found = {}
    for k in {2**i for i in range(20) if 2**i <= most} | {most}:
        each = []
        for drawn in arm.values():
            votes = [drawn[draw] for draw in sorted(drawn)]
            blocks = [votes[i : i + k] for i in range(0, len(votes) - k + 1, k)]
            each += [sum(map(share, blocks), Fraction(0)) / len(blocks)] if blocks else []
        found[k] = len(each), sum(each, Fraction(0)) / len(each)
    return found


def voted(path: Path, view: str = VIEWS[0]) -> dict[float, dict[int, tuple[int, float]]]:
    found: dict[float, dict[int, tuple[int, float]]] = {}
    for value, k, problems, vote in query(open_database(path), f"SELECT value, k, problems, vote_at_k FROM {view}")[1]:
        found.setdefault(value, {})[k] = problems, vote
    return found


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("seed", range(3))
def test_vote_at_k_equals_a_count_of_every_block(tmp_path: Path, seed: int, view: str) -> None:
    rng = random.Random(seed)
    arms = [some(rng) for _ in range(40)]
    fill(tmp_path / "r.db", arms, view)
    found = voted(tmp_path / "r.db", view)
    for number, arm in enumerate(arms):
        wanted = expected(arm)
        assert found[number].keys() == wanted.keys()
        for k, (problems, vote) in wanted.items():
            assert found[number][k] == (problems, pytest.approx(float(vote), abs=1e-12)), (arm, k)


@pytest.mark.parametrize(
    ("drawn", "k", "vote"),
    [
        ([R], 1, 1.0),
        ([R, W], 2, 0.5),  # a tie is shared
        ([R, R, W, V], 4, 1.0),
        ([R, W, V, N], 4, 1 / 3),
        ([N, N], 2, 0.0),  # no draw votes
        ([N, R], 2, 1.0),
        ([R, R, W, W, W, W], 2, 1 / 3),  # three blocks
        ([R, R, W, W, W, W], 4, 0.5),  # the last two draws are no whole block
        ([R, R, W, W, W, W], 6, 0.0),
    ],
)
def test_what_a_vote_is(tmp_path: Path, drawn: list[Vote], k: int, vote: float) -> None:
    fill(tmp_path / "r.db", [{0: dict(enumerate(drawn))}])
    assert voted(tmp_path / "r.db")[0][k] == (1, pytest.approx(vote))


def test_a_problem_with_too_few_draws_is_left_out_of_its_k(tmp_path: Path) -> None:
    fill(tmp_path / "r.db", [{0: {0: R}, 1: dict.fromkeys(range(4), W)}])
    assert voted(tmp_path / "r.db")[0] == {1: (2, 0.5), 2: (1, 0.0), 4: (1, 0.0)}


def test_a_scorer_without_expressions_has_no_vote_by_them(tmp_path: Path) -> None:
    fill(tmp_path / "r.db", [{0: {0: N, 1: R}}], VIEWS[1])  # those without a vote keep no other from voting
    assert voted(tmp_path / "r.db", VIEWS[1])[0][2] == (1, 1.0)
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection, connection:
        connection.execute("UPDATE score SET expression = NULL")
    assert voted(tmp_path / "r.db", VIEWS[1]) == {}
    assert voted(tmp_path / "r.db", VIEWS[0])[0][2] == (1, 1.0)


def test_a_ballot_without_an_expression_hides_its_arm_and_no_other(tmp_path: Path) -> None:
    fill(tmp_path / "r.db", [{0: {0: R, 1: R}}, {0: {0: R, 1: W}}], VIEWS[1])
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection, connection:
        connection.execute("UPDATE score SET expression = NULL WHERE arm_id = 1 AND draw = 0")
    assert voted(tmp_path / "r.db", VIEWS[1]) == {1.0: {1: (1, 0.5), 2: (1, 0.5)}}
    assert voted(tmp_path / "r.db", VIEWS[0]).keys() == {0.0, 1.0}
