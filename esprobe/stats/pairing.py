"""One side of a comparison on the shared problems, and the bootstrap of the difference of two sides.

Knows verdicts by problem and draw, no database and no layout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esprobe.stats.intervals import FEW, ByDraw, Cell, by_draw, few_differ

if TYPE_CHECKING:  # numpy is slow to load
    from esprobe.stats.resampling import Sampled


@dataclass(frozen=True)
class Side:
    """An arm on the shared problems, in their order. `shared`: problems share draws, `samples` consecutive ones of one model.

    `correct`: the draws that solve each problem, by their place among the arm's draws, which says which model it was; `places`:
    the same by their place among the problem's own draws. They differ only where draws are missing.
    """

    cells: list[Cell]
    correct: list[list[int]]
    places: list[list[int]]
    shared: bool
    samples: int = 1

    def solved_within(self, k: int) -> list[bool]:
        """Whether the first k draws of each problem, in their order, include a correct one."""
        return [min(places, default=k) < k for places in self.places]

    def first_draws(self, k: int) -> list[Cell]:
        """The counts of the first k draws of each problem, in their order."""
        return [Cell(k, sum(place < k for place in places)) for places in self.places]

    def by_draw(self) -> ByDraw:
        """What each draw solves."""
        return by_draw(self.cells, self.correct)

    def models(self, depth: int) -> int:
        """Of how many models the problems share the draws: all or, where problems have unevenly many draws, the first `depth`."""
        sizes = {cell.n for cell in self.cells}
        return max(1, (sizes.pop() if len(sizes) == 1 else depth) // self.samples)


def bootstrap_differences(
    first: Side, second: Side, depth: int, ks: Sequence[int], rounds: int, seed: int
) -> list[tuple[float, float] | None]:
    """The bootstrap's 95% interval of first − second at each k: the same resamples of problems for both, shared draws for each.

    None where resampling cannot see what varies: of fewer than FEW models, or where almost no problem differs.
    """
    import numpy as np

    from esprobe.stats.resampling import bootstrap, bootstrap_interval, estimates, resample_draws, resample_problems

    rng = np.random.default_rng(seed)
    a, b = _sampled(first, depth), _sampled(second, depth)
    problems = resample_problems(len(first.cells), rounds, rng)
    again = [resample_draws(arm, rounds, rng) for arm in (a, b)]
    models = [side.models(depth) for side in (first, second) if side.shared]
    scarcer = min([len(first.cells), *models])
    found: list[tuple[float, float] | None] = []
    for k in ks:
        each = estimates(a.n, a.c, k) - estimates(b.n, b.c, k)
        if min(models, default=FEW) < FEW or few_differ(each.tolist()):
            found.append(None)
            continue
        values = bootstrap(again[0], problems, k) - bootstrap(again[1], problems, k)
        found.append(bootstrap_interval(values, float(each.mean()), scarcer))
    return found


def _sampled(side: Side, depth: int) -> "Sampled":
    """The side as arrays, with its verdicts, (m, draws), where problems share draws."""
    import numpy as np

    from esprobe.stats.resampling import Sampled

    n, c = np.array([cell.n for cell in side.cells]), np.array([cell.c for cell in side.cells])
    if not side.shared:
        return Sampled(n, c)
    draws = side.models(depth) * side.samples
    verdicts = np.zeros((len(n), draws))
    for i, correct in enumerate(side.correct):
        verdicts[i, [draw for draw in correct if draw < draws]] = 1
    return Sampled(n, c, verdicts, side.samples)
