"""Puts the answers of perturbed models, of greedy decoding and of temperature arms in step on the same problems.

Knows answers and seeds. Must not know SQL or layout.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from esprobe.analysis.answers import Answers, Seeded
from esprobe.stats.resampling import Floats, Ints, estimates
from esprobe.stats.selection import Population
from esprobe.stats.top_votes import Ballots, block_votes, coded


@dataclass(frozen=True)
class Models:
    """n models in the order of arms and first draws, with `samples` answers each to each of m problems; perhaps none.

    `correct`: (n, m), how many of them are. `first`: the verdicts of the first answers, (n, m), `ballots` and `expressions`
    theirs; `expressions` is None where there are none, or a ballot of an arm lacks one. `families`: (n,), equal for equal seeds.
    `left_out`: models that lack an answer.
    """

    correct: Ints
    first: Ints
    ballots: Ints
    expressions: Ints | None
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
    answers: dict[tuple[float | None, ...], list[tuple[Ints, Ints, Ints]]] = {}
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
                at = row[draw]
                answers[model].append((whole.correct[at].astype(np.int64), whole.ballots[at], whole.expressions[at]))
    depths = sorted(map(len, answers.values()), reverse=True)
    samples = max(1, depths[(len(depths) - 1) // 2])
    kept = [(of, found[:samples]) for of, found in zip(family, answers.values(), strict=True) if len(found) >= samples]
    numbers = {of: number for number, of in enumerate(dict.fromkeys(of for of, _ in kept))}
    shape = len(kept), len(problems)
    first, ballots, expressions = (
        np.array([found[0][part] for _, found in kept], dtype=np.int64).reshape(shape) for part in range(3)
    )
    lacking = any(arm.lacks_expressions for arm, _ in arms) or not (expressions >= 0).any()
    return Models(
        correct=np.array([sum(right for right, *_ in found) for _, found in kept], dtype=np.int64).reshape(shape),
        first=first,
        ballots=ballots,
        expressions=None if lacking else expressions,
        samples=samples,
        families=np.array([numbers[of] for of, _ in kept], dtype=np.int64),
        left_out=len(answers) - len(kept),
    )


@dataclass(frozen=True)
class Sampled:
    """K → (arms, m): vote@K and pass@K of each problem, of the temperature arms that have so many draws.

    `by_expression`: vote@K by the stricter ballot, of the arms none of whose ballots lacks it.
    """

    votes: dict[int, Floats]
    passes: dict[int, Floats]
    by_expression: dict[int, Floats]


def sampled_at(arms: Sequence[Answers], ks: Sequence[int]) -> Sampled:
    """What samples at each temperature make of the problems, which all arms have."""
    ballots = [coded(arm.ballots, arm.correct) for arm in arms]
    expressions = [coded(arm.expressions, arm.correct) for arm in arms if not arm.lacks_expressions]
    return Sampled(
        votes=_at(ks, ballots, block_votes), passes=_at(ks, ballots, _passes), by_expression=_at(ks, expressions, block_votes)
    )


def _at(ks: Sequence[int], arms: Sequence[Ballots], figure: Callable[[Ballots, int], Floats]) -> dict[int, Floats]:
    """K → (arms, m), of the arms that have K draws; without the K that none has."""
    deep = {k: [arm for arm in arms if len(arm.codes) >= k] for k in ks}
    return {k: np.array([figure(arm, k) for arm in found]) for k, found in deep.items() if found}


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
        expressions=None if models.expressions is None else coded(models.expressions, models.first > 0),
        temperature_votes_by_expression=sampled.by_expression,
    )


def _passes(ballots: Ballots, k: int) -> Floats:
    """pass@k of each problem: (m,)."""
    return estimates(np.array([len(ballots.solved)]), ballots.solved.sum(0).astype(np.int64), k)
