"""The ways to spend a budget on a base model without training it, and which is best where settings are chosen.

Knows arms of the base and their answers, on the problems that are tested and on those that settings are chosen on. Must not know
trained models, SQL or layout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from esprobe.analysis.answers import Answers
from esprobe.analysis.families import FamilyArm
from esprobe.methods import named
from esprobe.stats.best_of import powers
from esprobe.stats.intervals import Interval, SharedDraws, share_interval
from esprobe.stats.resampling import Floats, Ints, estimates
from esprobe.stats.reselection import variance_of_choice
from esprobe.stats.samplers import SEED, Drawn, Measure, best_of, held_best, held_top, top_of
from esprobe.stats.selection import Population
from esprobe.stats.top_votes import coded

Kind = str  # the name of a method whose draws are taken as they come, "best of N", "top K", or "trained"
MOST_TOP = 64  # the largest K; RandOpt takes 50
NEARLY = 0.9  # the part of a depth that an arm must have to be compared at it, since single draws may be unfinished
RESAMPLES = 200


@dataclass(frozen=True)
class Spent:
    """One way to spend a budget. `own`: rollouts per test problem; `size`: the N to choose from; `before`: rollouts of choosing.

    `each`: (m,), what it makes of each tested problem. `of_models`: the variance that its perturbed `models` add to the mean.
    """

    kind: Kind
    arm: FamilyArm
    own: int
    size: int | None
    before: int
    each: Floats
    of_models: float
    models: int

    @property
    def value(self) -> float:
        """The share of test problems."""
        return float(self.each.mean())

    @property
    def interval(self) -> Interval | None:
        """95%, over problems and models."""
        shared = SharedDraws(self.own, self.models, self.of_models, self.of_models, inf) if self.models else None
        return share_interval(self.value, float(self.each.var(ddof=1)) / len(self.each), len(self.each), shared)


@dataclass(frozen=True)
class Sampler:
    """An arm of the base: its draws on the tested problems, and on those to choose on; the same models where these are shared.

    `scored` is None where it has none of them.
    """

    arm: FamilyArm
    tested: Drawn
    scored: Drawn | None

    def has(self, measure: Measure) -> bool:
        """Whether its answers have such ballots, on all its problems."""
        return all(measure in one.ballots for one in (self.tested, self.scored) if one is not None)

    @property
    def shared(self) -> bool:
        """Whether a draw is a perturbed model that answers all problems."""
        return named(self.arm.method).shares_draws


def drawn(answers: Answers) -> Drawn:
    """The answers as draws × problems with their ballots; those by expression only where every ballot has one."""
    ballots: dict[Measure, Ints] = {"value": answers.ballots}
    if not answers.lacks_expressions:
        ballots["expression"] = answers.expressions
    return Drawn(answers.correct, {key: coded(votes, answers.correct) for key, votes in ballots.items()})


@dataclass(frozen=True)
class _Offer:
    """A way to spend, and how good it is where settings are chosen."""

    worth: float
    kind: Kind
    sampler: Sampler
    own: int
    size: int | None = None


@dataclass
class Samplers:
    """All that the base offers. `choice`: how many problems settings are chosen on; what is chosen for `of_models` is kept."""

    samplers: Sequence[Sampler]
    choice: int
    problems: int
    _variances: dict[tuple[object, ...], float] = field(default_factory=dict)
    _worth: dict[tuple[object, ...], float] = field(default_factory=dict)

    def best(self, measure: Measure, total: float) -> Spent | None:
        """The way to spend at most `total` rollouts that is best where settings are chosen; None where nothing can be chosen.

        Of equally good ones the first, in the order of kinds and arms. Where fewer draws are stored than the budget buys, all.
        """
        return self._best_of(list(self._offers(measure, total)), measure)

    def at(self, measure: Measure, kind: Kind, depth: int) -> Spent | None:
        """The best of one kind at `depth` draws per test problem, or models to choose from; at all of an arm that lacks a few."""
        if kind in ("best of N", "top K"):
            tops = [1] if kind == "best of N" else [top for top in powers(MOST_TOP) if top > 1]
            able = [(s, min(depth, s.tested.count)) for s in self._pools() if s.tested.count >= NEARLY * depth]
            pairs = [(s, size, top) for s, size in able for top in tops if size >= max(2, top)]
            offers = [_Offer(self._chosen(s, measure, size, top), kind, s, top, size) for s, size, top in pairs]
        else:
            found = [s for s in self.samplers if s.arm.method == kind and s.tested.count >= NEARLY * depth]
            offers = [_Offer(self._sampled(s, measure, own := min(depth, s.tested.count)), kind, s, own) for s in found]
        return self._best_of(offers, measure)

    def depths(self, kind: Kind) -> list[int]:
        """The b of samples, or the N to choose from: 1, 2, 4, … and the most of any arm of this kind."""
        found = self._pools() if kind in ("best of N", "top K") else [s for s in self.samplers if s.arm.method == kind]
        return powers(max(s.tested.count for s in found)) if found else []

    def _pools(self) -> list[Sampler]:
        """What models can be chosen from."""
        return [s for s in self.samplers if s.shared and s.scored is not None]

    def _best_of(self, offers: Sequence[_Offer], measure: Measure) -> Spent | None:
        return self._spent(max(offers, key=lambda offer: offer.worth), measure) if offers else None

    def _offers(self, measure: Measure, total: float) -> Iterator[_Offer]:
        each = int(total / self.problems + 1e-9)
        for sampler in self.samplers:
            own = min(each, sampler.tested.count)
            if own and (sampler.scored is not None or not self.choice):
                yield _Offer(self._sampled(sampler, measure, own), sampler.arm.method, sampler, own)
        for sampler in self._pools():
            yield from self._choosing(sampler, measure, total)

    def _choosing(self, sampler: Sampler, measure: Measure, total: float) -> Iterator[_Offer]:
        for top in powers(MOST_TOP):
            size = min(sampler.tested.count, int((total - top * self.problems) / self.choice + 1e-9))
            if size >= max(2, top):
                kind: Kind = "best of N" if top == 1 else "top K"
                yield _Offer(self._chosen(sampler, measure, size, top), kind, sampler, top, size)

    def _sampled(self, sampler: Sampler, measure: Measure, own: int) -> float:
        """Of the samples themselves, on the problems to choose on; on those tested where there are no others."""
        found = sampler.scored or sampler.tested
        key = (sampler.arm.arm_id, measure, own := min(own, found.count))
        if key not in self._worth:
            self._worth[key] = float(found.at(measure, own).mean())
        return self._worth[key]

    def _chosen(self, sampler: Sampler, measure: Measure, size: int, top: int) -> float:
        key = (sampler.arm.arm_id, "best" if top == 1 else measure, size, top)
        if key not in self._worth:
            scored = sampler.scored
            assert scored is not None
            self._worth[key] = held_best(scored, size) if top == 1 else held_top(scored, measure, size, top)
        return self._worth[key]

    def _spent(self, offer: _Offer, measure: Measure) -> Spent:
        sampler, own, size = offer.sampler, offer.own, offer.size
        if size is None or sampler.scored is None:
            each = sampler.tested.at(measure, own)
        elif own == 1:
            each = best_of(sampler.scored, sampler.tested, size)
        else:
            each = top_of(sampler.scored, sampler.tested, measure, size, own)
        return Spent(
            kind=offer.kind,
            arm=sampler.arm,
            own=own,
            size=size,
            before=(size or 0) * self.choice,
            each=each,
            of_models=self._of_models(sampler, measure, own, size) if sampler.shared else 0.0,
            models=sampler.tested.count if sampler.shared else 0,
        )

    def _of_models(self, sampler: Sampler, measure: Measure, own: int, size: int | None) -> float:
        key = (sampler.arm.arm_id, measure if own > 1 else "one", own, size)
        if key not in self._variances:
            of_choice = size is not None
            self._variances[key] = _by_choice(sampler, measure, own, size or 0) if of_choice else _by_draws(sampler, measure, own)
        return self._variances[key]


def _by_choice(sampler: Sampler, measure: Measure, own: int, size: int) -> float:
    """What the choice of models adds to the variance: models and problems to choose on are resampled, and chosen from again."""
    assert sampler.scored is not None
    count = sampler.tested.count if own == 1 else size
    scored, tested = sampler.scored.first(count), sampler.tested.first(count)
    chosen_on = np.arange(scored.solved.shape[1] + tested.solved.shape[1]) < scored.solved.shape[1]
    solved = np.concatenate([scored.solved, tested.solved], axis=1)
    key: Measure = "value" if measure == "pass" else measure
    codes = [np.where(d.ballots[key].codes < len(d.ballots[key].right), d.ballots[key].codes, -1) for d in (scored, tested)]
    ballots = coded(np.concatenate(codes, axis=1).astype(np.int64), solved)
    population = Population(np.ascontiguousarray(solved.T.astype(np.float32)), 1, ballots, np.arange(count))
    found = variance_of_choice(
        population,
        chosen_on[None].astype(np.float32),
        [size] if own == 1 else [1],
        [] if own == 1 else [own],
        np.random.default_rng(SEED),
    )
    return found[("best_test", size) if own == 1 else ("any_test" if measure == "pass" else "vote_test", own)]


def _by_draws(sampler: Sampler, measure: Measure, own: int) -> float:
    """What perturbed models, taken at random, add: the covariance of two halves of the problems over resampled models."""
    rng = np.random.default_rng(SEED)
    found, (n, m) = sampler.tested, sampler.tested.solved.shape
    models = rng.integers(0, n, (RESAMPLES, n))
    if measure == "pass" or own == 1:
        times = np.array([np.bincount(row, minlength=n) for row in models])
        table = estimates(np.array([n]), np.rint(times @ found.solved.astype(np.float64)).astype(np.int64), own)
    else:
        blocks = models[:, : n // own * own].reshape(-1, own)
        table = found.of(measure, blocks, own).reshape(RESAMPLES, -1, m).mean(1)
    side = rng.permutation(m) < m // 2
    return max(0.0, float(np.cov(table[:, side].mean(1), table[:, ~side].mean(1))[0, 1]))
