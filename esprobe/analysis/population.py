"""Puts the answers of perturbed models, of greedy decoding and of temperature arms in step on the same problems.

Knows answers and seeds. Must not know SQL or layout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from esprobe.analysis.answers import Answers, Seeded
from esprobe.stats.resampling import Floats, Ints, estimates
from esprobe.stats.selection import Population
from esprobe.stats.top_votes import Ballots, block_votes, coded


@dataclass(frozen=True)
class Models:
    """n models in the order of arms and first draws, with `samples` answers each to each of m problems; perhaps none.

    `correct`: (n, m), how many of them are. `first`: the verdicts of the first answers, (n, m), and `ballots` theirs. `families`:
    (n,), equal for equal seeds. `left_out`: models that lack an answer.
    """

    correct: Ints
    first: Ints
    ballots: Ints
    samples: int
    families: Ints
    left_out: int


def shared_problems(arms: Sequence[Answers]) -> Ints:
    """The problems that at least half of the draws of every arm have answered."""
    shared = [arm.problems[2 * arm.there.sum(0) >= len(arm.draws)] for arm in arms]
    kept: Ints = shared[0][np.all([np.isin(shared[0], other) for other in shared], axis=0)]
    return kept


def models_of(arms: Sequence[tuple[Answers, Mapping[int, Seeded]]], problems: Ints) -> Models:
    """Draws of one arm with equal seed and σ are samples of one model; a draw without a seed is a model by itself.

    Where models have unequal numbers of samples, as many are taken as at least half of the models have.
    """
    answers: dict[tuple[float | None, ...], list[tuple[Ints, Ints]]] = {}
    family: list[object] = []
    for place, (arm, seeds) in enumerate(arms):
        whole = arm.on(problems)
        row = {draw: number for number, draw in enumerate(whole.draws.tolist())}
        for draw in arm.draws.tolist():
            seed, sigma = seeds.get(draw, (None, None))
            model: tuple[float | None, ...] = (place, draw) if seed is None else (place, None, seed, sigma)
            if model not in answers:
                answers[model] = []
                family.append(model if seed is None else seed)
            if draw in row:
                answers[model].append((whole.correct[row[draw]].astype(np.int64), whole.ballots[row[draw]]))
    depths = sorted(map(len, answers.values()), reverse=True)
    samples = max(1, depths[(len(depths) - 1) // 2])
    kept = [(of, found[:samples]) for of, found in zip(family, answers.values(), strict=True) if len(found) >= samples]
    numbers = {of: number for number, of in enumerate(dict.fromkeys(of for of, _ in kept))}
    shape = len(kept), len(problems)
    return Models(
        correct=np.array([sum(right for right, _ in found) for _, found in kept], dtype=np.int64).reshape(shape),
        first=np.array([found[0][0] for _, found in kept], dtype=np.int64).reshape(shape),
        ballots=np.array([found[0][1] for _, found in kept], dtype=np.int64).reshape(shape),
        samples=samples,
        families=np.array([numbers[of] for of, _ in kept], dtype=np.int64),
        left_out=len(answers) - len(kept),
    )


@dataclass(frozen=True)
class Sampled:
    """K → (arms, m): vote@K and pass@K of each problem, of the temperature arms that have so many draws."""

    votes: dict[int, Floats]
    passes: dict[int, Floats]


def sampled_at(arms: Sequence[Answers], ks: Sequence[int]) -> Sampled:
    """What samples at each temperature make of the problems, which all arms have."""
    ballots = [coded(arm.ballots, arm.correct) for arm in arms]
    deep = {k: found for k in ks if (found := [one for one in ballots if len(one.codes) >= k])}
    return Sampled(
        votes={k: np.array([block_votes(one, k) for one in found]) for k, found in deep.items()},
        passes={k: np.array([_passes(one, k) for one in found]) for k, found in deep.items()},
    )


def population_of(models: Models, greedy: Answers | None, sampled: Sampled) -> Population:
    """The models and what they are compared with, all on the same problems."""
    return Population(
        correct=np.ascontiguousarray(models.correct.T.astype(np.float32)),
        samples=models.samples,
        ballots=coded(models.ballots, models.first > 0),
        families=models.families,
        greedy=None if greedy is None else greedy.correct.mean(0),
        temperature_votes=sampled.votes,
        temperature_passes=sampled.passes,
    )


def _passes(ballots: Ballots, k: int) -> Floats:
    """pass@k of each problem: (m,)."""
    return estimates(np.array([len(ballots.solved)]), ballots.solved.sum(0).astype(np.int64), k)
