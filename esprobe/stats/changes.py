"""What changes from one arm to another, problem by problem: problems won and lost, and how many answers differ among k draws.

Knows counts of correct draws and of ballots, no database and no layout. Plain Python.
"""

from collections.abc import Sequence

from esprobe.stats.estimator import pass_at_k
from esprobe.stats.intervals import Cell


def won_at(first: Sequence[Cell], second: Sequence[Cell], k: int) -> float:
    """How many problems k draws of the first arm solve and k of the second do not, expected over all choices of draws.

    Σ pass@k of the first · (1 − pass@k of the second). What is won less what is lost is the difference of pass@k times the
    problems, and where both arms have k draws it is a plain count.
    """
    pairs = zip(first, second, strict=True)
    return sum(pass_at_k(a.n, a.c, k) * (1 - pass_at_k(b.n, b.c, k)) for a, b in pairs)


def won_by_luck(cells: Sequence[Cell]) -> float | None:
    """How many problems one draw of an arm solves and another draw of the same arm does not: Σ c·(n − c) / (n·(n − 1)).

    As many are lost. An arm that changes no more than this against another one may differ from it in nothing. None where a
    problem has a single draw.
    """
    if any(cell.n < 2 for cell in cells):
        return None
    return sum(cell.c * (cell.n - cell.c) / (cell.n * (cell.n - 1)) for cell in cells)


def distinct_at(n: int, counts: Sequence[int], k: int) -> float:
    """The number of distinct ballots among k of n draws, expected over all choices; `counts`: how many draws have each ballot.

    Each ballot is among them with the probability 1 − C(n−count, k)/C(n, k), as a correct draw is in pass@k (rarefaction,
    Hurlbert 1971, "The Nonconcept of Species Diversity").
    """
    return sum(pass_at_k(n, count, k) for count in counts)
