"""One side of a comparison on the shared problems, and the bootstrap of the difference of two sides.

Knows verdicts by problem and draw, no database and no layout.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from esprobe.intervals import Cell


@dataclass(frozen=True)
class Side:
    """An arm on the shared problems, in their order. `correct`: the draws that solve each; `shared`: problems share draws."""

    cells: list[Cell]
    correct: list[list[int]]
    shared: bool

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
) -> list[tuple[float, float]]:
    """The bootstrap's 95% interval of first − second at each k: problems resampled for both alike, shared draws for each."""
    import numpy as np

    from esprobe.resampling import Sampled, bootstrap, bootstrap_interval, estimates, resample_draws, resample_problems

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
    found = []
    for k in ks:
        values = bootstrap(counts[0], problems, k) - bootstrap(counts[1], problems, k)
        estimate = float(estimates(a.n, a.c, k).mean() - estimates(b.n, b.c, k).mean())
        found.append(bootstrap_interval(values, estimate))
    return found
