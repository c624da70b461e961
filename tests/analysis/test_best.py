"""One rule says which arms are compared, on which problems and how deep: for every output the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.analysis.best import baseline, choose, depth, of_models, share
from esprobe.analysis.reading import open_database
from esprobe.analysis.verdicts import read_firsts, read_verdicts
from esprobe.stats.estimator import pass_at_k
from esprobe.stats.intervals import Cell
from tests.conftest import Run
from tests.helpers.made import make
from tests.helpers.wired import overview


@dataclass(frozen=True)
class Made:
    """As much of an arm as the rule asks for."""

    arm_id: int
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    model_digest: str = "d"


def even(n: int, *correct: int) -> dict[int, Cell]:
    """Problems 0, 1, … of n draws each."""
    return {i: Cell(n, c) for i, c in enumerate(correct)}


T1, T2, T3 = (Made(i, "temperature") for i in (1, 2, 3))
S1, S2 = (Made(i, "perturbation") for i in (11, 12))


def test_deep_arms_are_not_favoured_over_shallow_ones() -> None:
    # in 300 draws arm 1 solves more problems than arm 2 in 100, but at 100 draws of each it is the worse one
    solved = {1: even(300, 3, 3, 3, 3), 2: even(100, 60, 60, 60, 0), 11: even(100, 2, 2, 2, 2)}
    choice = choose([T1, T2, S1], solved)
    assert choice is not None
    assert (choice.k, choice.best, choice.tied) == (100, (2, 11), ((2,), (11,)))
    shared = share(solved[1], solved[11])
    assert shared is not None
    assert shared.depth == 100


def test_the_largest_k_that_two_arms_of_a_kind_share_decides() -> None:
    # at 8 draws arm 2 leads, at 16 it has no estimate
    solved = {1: even(16, 4, 4, 0, 0), 2: even(8, 3, 3, 3, 3), 11: even(16, 1, 1, 1, 1)}
    choice = choose([T1, T2, S1], solved)
    assert choice is not None
    assert (choice.k, choice.best, choice.left_out) == (8, (2, 11), ())


def test_an_arm_barely_begun_does_not_decide_and_is_named() -> None:
    solved = {1: even(64, 9, 9), 2: even(64, 5, 5), 3: even(1, 1, 1), 11: even(64, 5, 5)}
    choice = choose([T1, T2, T3, S1], solved)
    assert choice is not None
    assert (choice.k, choice.best, choice.left_out, choice.candidates) == (64, (1, 11), (3,), ((1, 2), (11,)))


def test_ties_are_broken_by_pass_at_1_then_by_order_and_named() -> None:
    solved = {1: even(4, 2, 0), 2: even(4, 4, 0), 3: even(4, 4, 0), 11: even(4, 0, 0), 12: even(4, 0, 0)}
    choice = choose([T1, T2, T3, S1, S2], solved)
    assert choice is not None
    assert choice.best == (2, 11)
    assert choice.tied == ((1, 2, 3), (11, 12))


def test_arms_are_chosen_on_the_problems_that_all_share() -> None:
    # arm 1 is best on its own easy problems only
    solved = {1: even(4, 0, 0, 4, 4), 2: even(4, 1, 1), 11: even(4, 1, 1)}
    choice = choose([T1, T2, S1], solved)
    assert choice is not None
    assert (choice.problems, choice.best) == ((0, 1), (2, 11))
    apart = {1: even(4, 1, 1), 11: {7: Cell(4, 1)}}
    assert choose([T1, S1], apart) is None
    assert share(apart[1], apart[11]) is None


def test_one_kind_alone_has_a_best_arm_too() -> None:
    solved = {1: even(4, 1), 2: even(4, 2)}
    choice = choose([T1, T2], solved)
    assert choice is not None
    assert choice.best == (2,)
    assert choose([Made(5, "greedy")], {5: even(1, 1)}) is None


def test_a_pair_shares_as_many_draws_as_half_of_its_problems_have() -> None:
    assert depth({}) == 0
    first = {1: Cell(512, 1), 2: Cell(512, 1), 3: Cell(512, 1), 4: Cell(3, 1)}
    second = {1: Cell(64, 1), 2: Cell(64, 1), 3: Cell(64, 1), 4: Cell(64, 1), 5: Cell(64, 1)}
    shared = share(first, second)
    assert shared is not None
    assert (shared.problems, shared.depth, shared.left_out) == ((1, 2, 3), 64, 2)


def test_the_baseline_is_the_greedy_arm_of_the_same_settings() -> None:
    common = {"task": "countdown", "prompt": "chat", "dtype": "float32"}
    arm = Made(11, "perturbation", common | {"seed": 42, "noise": "iid"})
    half = Made(1, "greedy", common | {"dtype": "float16"})
    alike = Made(2, "greedy", common)
    other_model = Made(3, "greedy", common, "other")
    solved = {1: even(1, 1, 1), 2: even(1, 0, 1), 3: even(1, 1, 1), 11: even(4, 1, 1)}
    found = baseline(arm, [half, alike, other_model, arm], solved, [0, 1])
    assert found == alike
    assert baseline(arm, [half, other_model], solved, [0, 1]) is None
    assert baseline(arm, [alike], solved, [0, 1, 2]) is None  # it lacks a problem


def test_arms_of_two_models_or_tasks_do_not_compete() -> None:
    arms = [T1, Made(4, "temperature", {"task": "gsm8k"}), S1, Made(5, "temperature", model_digest="e")]
    assert [[arm.arm_id for arm in group] for group in of_models(arms)] == [[1, 11], [4], [5]]


def test_places_of_draws_are_the_problems_own_where_draws_are_missing(tmp_path: Path) -> None:
    make(tmp_path / "r.db", [("temperature", 0.5, {0: "--+-", 1: "----", 2: "+"}), ("perturbation", 0.1, {0: "-+", 1: "++"})])
    connection = open_database(tmp_path / "r.db")
    solved, firsts = overview(tmp_path / "r.db").counts, read_firsts(connection, "countdown")
    ids = sorted(solved[1])
    assert solved[1] == {ids[0]: Cell(4, 1), ids[1]: Cell(4, 0), ids[2]: Cell(1, 1)}
    assert firsts == {1: {ids[0]: 2, ids[2]: 0}, 2: {ids[0]: 1, ids[1]: 0}}
    assert read_verdicts(connection, "countdown", 2) == {ids[0]: [(0, False), (1, True)], ids[1]: [(0, True), (1, True)]}


@pytest.mark.parametrize("words", [(), ("--value", "0.5", "--value", "0.01")])
def test_a_filter_does_not_hide_the_baseline(esprobe: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    made = [
        ("greedy", None, dict.fromkeys(range(4), "+")),
        ("temperature", 0.5, dict.fromkeys(range(4), "+-")),
        ("perturbation", 0.01, dict.fromkeys(range(4), "+-")),
    ]
    make(tmp_path / "esprobe.db", made)  # type: ignore[arg-type]
    rows = json.loads(esprobe("report", "--compare", "--format", "json", *words).stdout)
    assert [row["value"] for row in rows if row["quantity"] == "greedy"] == [1.0]


@given(
    st.dictionaries(
        st.integers(1, 6),
        st.dictionaries(st.integers(0, 5), st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=6),
        min_size=1,
    )
)
def test_whatever_there_is_a_choice_is_fair_or_none(counts: dict[int, dict[int, tuple[int, int]]]) -> None:
    solved = {i: {p: Cell(n, min(c, n)) for p, (n, c) in cells.items()} for i, cells in counts.items()}
    arms = [Made(i, "temperature" if i % 2 else "perturbation") for i in sorted(solved)]
    choice = choose(arms, solved)
    if choice is None:
        return
    assert choice.problems
    assert sorted(i for ids in (*choice.candidates, choice.left_out) for i in ids) == sorted(solved)
    for best, tied, candidates in zip(choice.best, choice.tied, choice.candidates, strict=True):
        means = {}
        for i in candidates:
            cells = [solved[i][p] for p in choice.problems]  # every candidate has every problem
            assert min(cell.n for cell in cells) >= choice.k
            means[i] = sum(pass_at_k(cell.n, cell.c, choice.k) for cell in cells) / len(cells)
        assert best in tied
        assert {i for i in candidates if means[i] >= max(means.values()) - 1e-9} == set(tied)
    if len(choice.best) == 2:
        shared = share(solved[choice.best[0]], solved[choice.best[1]])
        assert shared is not None
        assert all(solved[i][p].n >= shared.depth for i in choice.best for p in shared.problems)
