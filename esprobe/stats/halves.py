"""What was chosen as the best, on problems and draws that it was not chosen on: without the winner's curse. With numpy.

Knows matrices of verdicts, no database and no layout. Only `report --compare` loads it, since numpy is slow to load.

What is estimated is a mixture: each candidate's score by the share of halves in which it is chosen. Its interval is that of the
mixture (`intervals.paired_test`), with these shares as given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from esprobe.stats.estimator import SAME
from esprobe.stats.intervals import Cell, SharedDraws, by_draw, shared_draws
from esprobe.stats.resampling import Floats, estimates

_OTHER = (1, 0, 3, 2)  # by quarter, the one that shares neither problems nor draws with it


@dataclass(frozen=True)
class Split:
    """S random halves of m problems and of n draws: (m, S) and (n, S), 1 in the first half and 0 in the second."""

    problems: Floats
    draws: Floats


@dataclass(frozen=True)
class Held:
    """Means of either kind where it was not chosen, the share of choices of each candidate, and of those that were today's."""

    first: float
    second: float
    first_shares: Floats
    second_shares: Floats
    same: float


@dataclass(frozen=True)
class HeldBest:
    """The model that is best on one half of the problems: its accuracy there and on the other half; each model's share."""

    on_chosen: float
    on_held: float
    shares: Floats  # (n,)


def split(problems: int, models: int, rounds: int, seed: int, samples: int = 1) -> Split:
    """Seeded halves; of an odd number the second half has one more.

    So many consecutive draws as `samples` are of one model, and in one half: models · samples draws.
    """
    rng = np.random.default_rng(seed)
    return Split(_halves(problems, rounds, rng), _halves(models, rounds, rng).repeat(samples, axis=0))


def _halves(size: int, rounds: int, rng: np.random.Generator) -> Floats:
    inside = np.zeros((size, rounds))
    inside[: size // 2] = 1
    return rng.permuted(inside, axis=0)


def quarters(verdicts: Floats, halves: Split, k: int) -> Floats:
    """An arm's mean pass@k on each half of problems with each half of draws: (4, S).

    `verdicts`: (m, n), a column being the same draw in every problem, so that no model of a perturbation arm is in two halves.
    Quarters are, with halves of problems and of draws: first and first, second and second, first and second, second and first.
    """
    means = []
    by_draws = [_estimates(verdicts, inside, k) for inside in (halves.draws, 1 - halves.draws)]  # 2 × (m, S)
    inside = halves.problems
    for half, each in ((inside, by_draws[0]), (1 - inside, by_draws[1]), (inside, by_draws[1]), (1 - inside, by_draws[0])):
        means.append((each * half).sum(0) / half.sum(0))
    return np.array(means)


def _estimates(verdicts: Floats, inside: Floats, k: int) -> Floats:
    """pass@k of each problem from the draws of each half: (m, S)."""
    size = int(inside[:, 0].sum())
    correct = np.rint(verdicts @ inside).astype(np.int64)
    return estimates(np.full((1, 1), size), correct, k)


def compare_held(first: Sequence[Floats], second: Sequence[Floats], today: tuple[int, int]) -> Held:
    """The best arm of either kind in one quarter, compared in the one that shares neither problems nor draws with it.

    `first`, `second`: the `quarters` of each candidate. `today`: the places of the arms that are best on everything. Of arms
    that are equally good in a quarter each counts alike.
    """
    means, shares, same = [], [], 1.0
    for kind, place in zip((first, second), today, strict=True):
        table = np.array(kind)  # (arms, 4, S)
        weights = _best(table)
        means.append(float((weights * table[:, _OTHER]).sum(0).mean()))
        shares.append(weights.mean((1, 2)))
        same = same * weights[place]
    return Held(first=means[0], second=means[1], first_shares=shares[0], second_shares=shares[1], same=float(np.mean(same)))


@dataclass(frozen=True)
class Mixture:
    """Candidates weighted by their shares: `each` problem's pass@k, (m,), and what their models add, None where none are."""

    each: Floats
    shared: SharedDraws | None


def mixture(kind: Sequence[Floats], shares: Floats, k: int, samples: Sequence[int] = ()) -> Mixture:
    """`kind`: the verdicts of each candidate, (m, n). `samples`: of each of its models, if problems share them; else nothing.

    The models' variance is the mean of the candidates', as if it were the same luck in all: arms of equal seeds vary together.
    """
    each = np.zeros(len(kind[0]))
    parts = []
    for i, (verdicts, share) in enumerate(zip(kind, shares.tolist(), strict=True)):
        m, n = verdicts.shape
        correct = verdicts.sum(1).astype(np.int64)
        each += share * estimates(np.full(m, n), correct, k)
        if samples and share > 0:
            cells = [Cell(n, c) for c in correct.tolist()]
            solved = by_draw(cells, [np.flatnonzero(row).tolist() for row in verdicts])
            parts.append((share, shared_draws(cells, solved, k, samples[i])))
    if not parts:
        return Mixture(each, None)
    _, mostly = max(parts, key=lambda part: part[0])
    net, gross = sum(share * part.net for share, part in parts), sum(share * part.gross for share, part in parts)
    return Mixture(each, replace(mostly, net=net, gross=gross))


def best_model(verdicts: Floats, rounds: int, seed: int) -> HeldBest:
    """The best of n models by one half of the problems, on the other half: both ways round, mean over random halves.

    `verdicts`: (m, n). Of equally good models each counts alike.
    """
    inside = _halves(len(verdicts), rounds, np.random.default_rng(seed))
    chosen = np.concatenate([inside, 1 - inside], axis=1).T  # (2S, m)
    held = 1 - chosen
    there = (chosen @ verdicts / chosen.sum(1, keepdims=True)).T  # (n, 2S)
    here = (held @ verdicts / held.sum(1, keepdims=True)).T
    weights = _best(there)
    return HeldBest(float(there.max(0).mean()), float((weights * here).sum(0).mean()), weights.mean(1))


def _best(table: Floats) -> Floats:
    """Of each column along the first axis: 1 for the largest, shared equally among equals, 0 for the others."""
    top = table >= table.max(0) - SAME
    weights: Floats = top / top.sum(0)
    return weights
