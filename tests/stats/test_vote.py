"""A vote is what a count of every ballot says, and its parts equal independent computations."""

import random
from collections import Counter
from fractions import Fraction
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.stats.intervals import SharedDraws
from esprobe.stats.vote import block_shares, shared_blocks, vote_share
from tests.benchmarks import vote_coverage

ballots = st.lists(st.sampled_from([None, "98", "97.99999", "1", "2"]), min_size=1, max_size=24)
RIGHT = frozenset({"98", "97.99999"})


@given(ballots)
def test_a_vote_equals_drawing_a_leader_at_random(block: list[str | None]) -> None:
    counts = Counter(ballot for ballot in block if ballot is not None)
    leaders = [ballot for ballot in counts if counts[ballot] == max(counts.values())]
    expected = Fraction(sum(ballot in RIGHT for ballot in leaders), len(leaders)) if leaders else 0
    assert vote_share(block, RIGHT) == pytest.approx(float(expected))


@given(ballots, st.integers(1, 24))
def test_blocks_are_disjoint_whole_and_in_order(drawn: list[str | None], k: int) -> None:
    shares = block_shares(drawn, RIGHT, k)
    assert shares == [vote_share(drawn[i * k : i * k + k], RIGHT) for i in range(len(drawn) // k)]


def test_one_draw_is_right_if_it_votes_and_is_correct() -> None:
    assert block_shares(["98", None, "1", "97.99999"], RIGHT, 1) == [1.0, 0.0, 0.0, 1.0]


def test_blocks_that_problems_share_are_clusters() -> None:
    alike = [[1.0, 0.0, 1.0, 0.0]] * 6  # every problem goes with its block
    assert shared_blocks(alike) == SharedDraws(1, 4, pytest.approx(5 / 72), pytest.approx(1 / 12), inf)  # type: ignore[arg-type]
    assert shared_blocks([[1.0], [0.0]]) == SharedDraws(1, 1, 0.0, 0.0, inf)


def test_blocks_of_independent_problems_add_nothing_on_average() -> None:
    rng = random.Random(3)
    nets = []
    for _ in range(300):
        shares = [[float(rng.random() < 0.4) for _ in range(12)] for _ in range(30)]
        found = shared_blocks(shares)
        blocks, problems = 12, 30
        own = 0.4 * 0.6 / problems / blocks
        nets.append((found.gross - own) / own)
    assert abs(sum(nets) / len(nets)) < 0.1


def test_intervals_of_votes_hold_the_truth_about_as_often_as_they_say() -> None:
    rows = vote_coverage.table(100, own=(8,), models=(8,))
    assert all(row.holds >= 0.85 for row in rows)  # 100 simulations know each to about ± 4 points
    assert 0.91 <= sum(row.holds for row in rows) / len(rows) <= 0.99
