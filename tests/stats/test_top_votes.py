"""Votes by RandOpt's rule, by hand and against counting ballots one by one."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from esprobe.stats.selection import Population, Rows, measure
from esprobe.stats.top_votes import block_votes, coded, votes

NONE = -1


def test_randopt_by_hand() -> None:
    """Five models, ranked on two problems; the best three vote on three others.

    Right on the train problems: model 0 one, 1 none, 2 both, 3 none, 4 one; 0 and 4 are equal, and either order wins alike here.
    Ballots of models 2, 0, 4 on the test problems: 98 98 12 → 98; 5, none, 7 → a tie, to the better-ranked model 2: 5; none
    three times → no answer, though models 1 and 3 would have had the right one.
    """
    ballots = np.array([[98, NONE, NONE], [98, 7, 1], [98, 5, NONE], [12, 7, 1], [12, 7, NONE]])
    right = np.array([98, 5, 1])
    on_train = np.array([[1, 0], [0, 0], [1, 1], [0, 0], [0, 1]])
    train_ballots = np.where(on_train, 1, 2)
    solved = np.concatenate([on_train > 0, ballots == right], axis=1)
    population = Population(
        solved.T.astype(np.float32), 1, coded(np.concatenate([train_ballots, ballots], axis=1), solved), np.arange(5)
    )
    rows = Rows(np.array([[1, 1, 0, 0, 0]], dtype=np.float32), np.arange(5)[None])
    found = {(name, at): table[0] for name, at, table in measure(population, rows, [1], [3], np.random.default_rng(0))}
    assert found["vote_test", 3][2:].tolist() == [1, 1, 0]
    assert found["any_test", 3][2:].tolist() == [1, 1, 0]


def test_a_tie_goes_to_the_better_ranked_model_and_not_to_the_first_to_reach_the_count() -> None:
    ballots = np.array([[1], [2], [2], [1]])
    solved = ballots == 1
    voted, any_right = votes(coded(ballots, solved), np.array([[0, 1, 2, 3], [1, 0, 3, 2]]), [2, 3, 4])
    assert voted[:, :, 0].tolist() == [[True, False, True], [False, True, False]]
    assert any_right.all()


cells = st.lists(st.lists(st.integers(-1, 3), min_size=3, max_size=3), min_size=1, max_size=8)


@given(cells, st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_votes_are_those_of_counting_one_by_one(table: list[list[int]], right: list[int]) -> None:
    ballots = np.array(table)
    solved = ballots == np.array(right)
    order = np.random.default_rng(len(table)).permutation(len(table))
    sizes = sorted({1, (len(table) + 1) // 2, len(table)})
    voted, any_right = votes(coded(ballots, solved), order[None], sizes)
    for place, size in enumerate(sizes):
        for problem in range(3):
            cast = Counter(table[model][problem] for model in order[:size] if table[model][problem] != NONE)
            winner = cast.most_common(1)[0][0] if cast else None  # the first of equals, in the order of their first votes
            assert voted[0, place, problem] == (winner == right[problem])
            assert any_right[0, place, problem] == solved[order[:size], problem].any()


@given(cells, st.lists(st.integers(0, 3), min_size=3, max_size=3), st.integers(1, 3))
def test_blocks_share_ties_equally(table: list[list[int]], right: list[int], size: int) -> None:
    size = min(size, len(table))
    ballots = np.array(table)
    found = block_votes(coded(ballots, ballots == np.array(right)), size)
    for problem in range(3):
        shares = []
        for first in range(0, len(table) - size + 1, size):
            cast = Counter(row[problem] for row in table[first : first + size] if row[problem] != NONE)
            winners = [ballot for ballot, count in cast.items() if count == max(cast.values())]
            shares.append((right[problem] in winners) / max(1, len(winners)))
        assert abs(found[problem] - sum(shares) / len(shares)) < 1e-12


def test_some_problems_alone_have_the_ballots_that_they_had() -> None:
    rng = np.random.default_rng(1)
    ballots = rng.integers(-1, 4, (9, 6))
    every = coded(ballots, ballots == 2)
    kept = np.array([True, False, True, True, False, False])
    orders = np.argsort(rng.random((20, 9)), axis=1)
    for some, all_of_them in zip(votes(every.of(kept), orders, [1, 4, 9]), votes(every, orders, [1, 4, 9]), strict=True):
        assert (some == all_of_them[:, :, kept]).all()
