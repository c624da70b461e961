"""The order in which engines take work: each keeps its weights while there is work for them, and nothing is read too early."""

import itertools
from collections.abc import Iterator

import pytest

from esprobe.arms import BASE, Perturbation, Weights
from esprobe.engines.todo import Todo
from tests.helpers.pieces import Piece


def test_an_engine_stays_with_its_weights_while_there_is_work_for_them() -> None:
    draws = [Weights(perturbation=Perturbation("iid", seed, 0.01)) for seed in range(3)]
    work = [Piece([[i]], draw) for draw in draws for i in range(3)]
    todo = Todo(work)
    first, second = todo.take(None), todo.take(None)
    assert (first, second) == (work[0], work[3])
    assert [todo.take(first) for _ in range(3)] == [work[1], work[2], work[6]]
    assert todo.take(second) == work[4]
    todo.give_back(work[1])
    assert [todo.take(work[6]) for _ in range(4)] == [work[7], work[8], work[1], work[5]]
    assert todo.take(first) is None
    assert not todo


@pytest.mark.parametrize("perturbed", [True, False])
def test_work_is_read_no_further_than_the_engines_need(perturbed: bool) -> None:
    read = []

    def endless() -> Iterator[Piece]:
        for draw in itertools.count():
            for i in range(3):
                read.append(Piece([[draw, i]], Weights(perturbation=Perturbation("iid", draw, 0.01)) if perturbed else BASE))
                yield read[-1]

    todo = Todo(endless())
    engines: list[Piece | None] = [None] * 4
    for _ in range(25):
        engines = [todo.take(last) for last in engines]
    assert len(read) <= 100 + 4 * 3 + 1
    assert len(todo.kept) <= 4
    assert todo
