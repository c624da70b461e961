"""One side of a comparison on the shared problems, and the bootstrap of the difference of two sides.

Knows verdicts by problem and draw, no database and no layout.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from esprobe.stats.intervals import FEW, Cell, few_differ


@dataclass(frozen=True)
class Side:
    """An arm on the shared problems, in their order. `shared`: problems share draws.

    `correct`: the draws that solve each problem, by their place among the arm's draws, which says which model it was; `places`:
    the same by their place among the problem's own draws. They differ only where draws are missing.
    """

    cells: list[Cell]
    correct: list[list[int]]
    places: list[list[int]]
    shared: bool

    def solved_within(self, k: int) -> list[bool]:
        """Whether the first k draws of each problem, in their order, include a correct one."""
        return [min(places, default=k) < k for places in self.places]

    def first_draws(self, k: int) -> list[Cell]:
        """The counts of the first k draws of each problem, in their order."""
        return [Cell(k, sum(place < k for place in places)) for places in self.places]

    def by_draw(self) -> dict[int, list[tuple[int, int, int]]]:
        """Draw → (n, c, how many) of the problems that it solves."""
        counts: dict[int, dict[tuple[int, int], int]] = {}
        for cell, draws in zip(self.cells, self.correct, strict=True):
            for draw in draws:
                solved = counts.setdefault(draw, {})
                solved[cell.n, cell.c] = solved.get((cell.n, cell.c), 0) + 1
        return {draw: [(n, c, count) for (n, c), count in solved.items()] for draw, solved in counts.items()}


def bootstrap_differences(
    first: Side, second: Side, depth: int, ks: Sequence[int], rounds: int, seed: int
) -> list[tuple[float, float] | None]:
    """The bootstrap's 95% interval of first − second at each k: the same resamples of problems for both, shared draws for each.

    None where resampling cannot see what varies: of fewer than FEW models, or where almost no problem differs.
    """
    import numpy as np

    from esprobe.stats.resampling import (
        Sampled,
        bootstrap,
        bootstrap_interval,
        estimates,
        resample_draws,
        resample_problems,
    )

    def sampled(side: Side) -> Sampled:
        n, c = (np.array(column) for column in zip(*((cell.n, cell.c) for cell in side.cells), strict=True))
        if not side.shared:
            return Sampled(n, c)
        width = int(n[0]) if (n == n[0]).all() else depth  # of uneven depths, what all have
        verdicts = np.zeros((len(n), width))
        for i, draws in enumerate(side.correct):
            verdicts[i, [draw for draw in draws if draw < width]] = 1
        return Sampled(n, c, verdicts)

    rng = np.random.default_rng(seed)
    a, b = sampled(first), sampled(second)
    problems = resample_problems(len(first.cells), rounds, rng)
    counts = [resample_draws(arm, rounds, rng) for arm in (a, b)]
    found: list[tuple[float, float] | None] = []
    models = [arm.verdicts.shape[1] for arm in (a, b) if arm.verdicts is not None]
    scarcer = min([len(a.n), *models])
    for k in ks:
        each = estimates(a.n, a.c, k) - estimates(b.n, b.c, k)
        if min(models, default=FEW) < FEW or few_differ(each.tolist()):
            found.append(None)
            continue
        values = bootstrap(counts[0], problems, k) - bootstrap(counts[1], problems, k)
        found.append(bootstrap_interval(values, float(each.mean()), scarcer))
    return found
