"""What was chosen for being the best, where it was not chosen: arms on other problems and draws, models on other problems.

Reads verdicts, then counts and splits with the pure functions of halves.py and quality.py. Must not know layout.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING

from esprobe.analysis.arms import ArmRow
from esprobe.analysis.best import Choice
from esprobe.analysis.overview import Overview
from esprobe.analysis.reading import query
from esprobe.analysis.verdicts import read_verdicts
from esprobe.stats.estimator import SAME, pass_at_k
from esprobe.stats.intervals import Interval, paired_test
from esprobe.stats.quality import Spread, spread

if TYPE_CHECKING:  # numpy is slow to load
    from esprobe.stats.resampling import Floats

SPLITS = 500  # random halves
SEED = 20251122


@dataclass(frozen=True)
class Source:
    """Where comparisons come from: the arms as read, and the connection for the verdicts of those that are compared."""

    connection: sqlite3.Connection
    seen: Overview

    def verdicts(self, arm: ArmRow) -> dict[int, list[tuple[int, bool]]]:
        """See `read_verdicts`."""
        return read_verdicts(self.connection, self.seen.scorer, arm.arm_id)

    def arm(self, arm_id: int) -> ArmRow:
        """The arm of this id."""
        return next(arm for arm in self.seen.every if arm.arm_id == arm_id)


@dataclass(frozen=True)
class Halves:
    """Arms chosen on one half of the problems with one half of the draws, and compared on the other half of both.

    `k` is half of the k by which the best arms were chosen, since each half has half of the draws, or less where models have
    several samples, since all of a model's are in one half; `flattered`: the difference of the best arms at this k on the same
    problems, with all draws. `same`: how often the choice was these two arms.
    """

    k: int
    problems: int
    first: float
    second: float
    interval: Interval | None
    flattered: float
    same: float
    first_arms: int
    second_arms: int

    @property
    def difference(self) -> float:
        """First − second."""
        return self.first - self.second


@dataclass(frozen=True)
class BestOf:
    """The best of `models` by one half of the problems: its accuracy there and on the other half, and there less greedy's."""

    models: int
    problems: int
    on_chosen: float
    on_held: float
    over_greedy: float | None
    interval: Interval | None  # of over_greedy


@dataclass(frozen=True)
class Draws:
    """A perturbation arm's models one by one, on the problems of the comparison; models that lack one of them are left out.

    `better`: how many beat greedy decoding of the unperturbed model on these problems, by luck or quality; `spread` says how much
    of their differences is luck, and `held_out` what choosing the best of them is worth. `best`: (draw, seed, correct, accuracy).
    """

    arm: ArmRow
    count: int
    mean: float
    greedy: float | None
    better: int | None
    best: list[tuple[int, str | None, int, float]]
    spread: Spread | None
    held_out: BestOf | None


def chosen_arms(source: Source, choice: Choice) -> Halves | None:
    """Without the winner's curse; None for a single problem, or where the best arms were chosen by a single draw or model."""
    samples = [[source.arm(arm_id).samples for arm_id in ids] for ids in choice.candidates]
    together = lcm(*(one for kind in samples for one in kind))  # so that the samples of a model are in one half
    size, models = len(choice.problems), choice.k // together
    k = models // 2 * together
    if size < 2 or k < 1:
        return None
    from esprobe.stats.halves import compare_held, mixture, quarters, split

    halves = split(size, models, SPLITS, SEED, together)
    kinds = [[_first_draws(source, arm_id, choice, models * together) for arm_id in ids] for ids in choice.candidates]
    tables = [[quarters(verdicts, halves, k) for verdicts in kind] for kind in kinds]
    today = [ids.index(best) for ids, best in zip(choice.candidates, choice.best, strict=True)]
    held = compare_held(tables[0], tables[1], (today[0], today[1]))
    mixtures = [
        mixture(kind, shares, k, of_models if source.arm(best).shares_draws else ())
        for kind, shares, of_models, best in zip(
            kinds, (held.first_shares, held.second_shares), samples, choice.best, strict=True
        )
    ]
    each = mixtures[0].each - mixtures[1].each
    shared = [one.shared for one in mixtures if one.shared is not None]
    return Halves(
        k=k,
        problems=size,
        first=held.first,
        second=held.second,
        interval=paired_test(each.tolist(), shared, held.first - held.second).interval,
        flattered=_flattered(source, choice, k),
        same=held.same,
        first_arms=len(kinds[0]),
        second_arms=len(kinds[1]),
    )


def _first_draws(source: Source, arm_id: int, choice: Choice, draws: int) -> "Floats":
    """(m, draws) of 0 and 1: the verdicts of so many first draws of each problem, in their order."""
    import numpy as np

    verdicts = source.verdicts(source.arm(arm_id))
    return np.array([[right for _, right in verdicts[problem][:draws]] for problem in choice.problems], dtype=np.float64)


def _flattered(source: Source, choice: Choice, k: int) -> float:
    """First − second of the best arms on everything."""
    first, second = (source.seen.counts[arm_id] for arm_id in choice.best)
    each = [pass_at_k(first[i].n, first[i].c, k) - pass_at_k(second[i].n, second[i].c, k) for i in choice.problems]
    return sum(each) / len(each)


def model_by_model(source: Source, arm: ArmRow, problems: Sequence[int]) -> Draws:
    """The models of a perturbation arm that have all of `problems`, those of the comparison, and greedy decoding on the same."""
    answers = list(source.seen.greedy(arm, problems).values())
    greedy = sum(answers) / len(answers) if answers else None
    models, verdicts = _complete_models(source, arm, problems)
    by_model = [sum(column) for column in zip(*verdicts, strict=True)]
    rows = [(*model, correct, correct / len(problems)) for model, correct in zip(models, by_model, strict=True)]
    return Draws(
        arm=arm,
        count=len(rows),
        mean=sum(row[3] for row in rows) / max(1, len(rows)),
        greedy=greedy,
        better=None if greedy is None else sum(row[3] > greedy + SAME for row in rows),
        best=sorted(rows, key=lambda row: (-row[3], row[0]))[:5],
        spread=spread(by_model, [sum(row) for row in verdicts]),
        held_out=_best_of(verdicts, answers),
    )


def _complete_models(
    source: Source, arm: ArmRow, problems: Sequence[int]
) -> tuple[list[tuple[int, str | None]], list[list[int]]]:
    """(draw, seed) of each model that has all of the problems; by problem, the verdicts of these models, in step."""
    verdicts = source.verdicts(arm)
    asked = [dict(verdicts[problem]) for problem in problems]
    places = sorted(set.intersection(*map(set, asked)))
    sql = "SELECT number, CAST(seed AS TEXT) FROM draw WHERE arm_id = ? ORDER BY number"
    _, draws = query(source.connection, sql, [arm.arm_id])
    return [draws[place] for place in places], [[int(found[place]) for place in places] for found in asked]


def _best_of(verdicts: Sequence[Sequence[int]], greedy: Sequence[float]) -> BestOf | None:
    """The best model held out; None for a single problem, or fewer than two models to choose from.

    `greedy`: what greedy decoding solves of each problem; empty without a baseline.
    """
    size, models = len(verdicts), len(verdicts[0])
    if size < 2 or models < 2:
        return None
    import numpy as np

    from esprobe.stats.halves import best_model

    table = np.array(verdicts, dtype=np.float64)
    found = best_model(table, SPLITS, SEED)
    over = found.on_held - sum(greedy) / size if greedy else None
    tested = None if over is None else paired_test((table @ found.shares - np.array(greedy)).tolist(), estimate=over)
    return BestOf(
        models=models,
        problems=size,
        on_chosen=found.on_chosen,
        on_held=found.on_held,
        over_greedy=over,
        interval=None if tested is None else tested.interval,
    )
