"""The sentences of `report --budget`: the verdicts above its tables; below them what the data lack, and what columns mean.

Knows what a budget contains. Must not know tables or the database.
"""

from collections.abc import Iterator, Sequence

from esprobe.analysis.budget import Budget, Point, Verdict
from esprobe.analysis.families import FamilyArm
from esprobe.arms import value_words
from esprobe.methods import GREEDY, PERTURBATION, TEMPERATURE, named
from esprobe.report.words import counted, percent, points, tenths
from esprobe.stats.samplers import Measure

WAYS: dict[Measure, str] = {
    "value": "Without a verifier",
    "expression": "Without a verifier, votes by expression",
    "pass": "With a verifier",
}
KINDS = {
    GREEDY.name: "the base's greedy answer",
    TEMPERATURE.name: "samples of the base",
    PERTURBATION.name: "perturbed models taken at random",
    "best of N": "the best perturbed model",
    "top K": "the best perturbed models together",
}
FEW_SEEDS = 5  # recommended


def arm_words(arm: FamilyArm) -> str:
    """`T 0.8`, `σ 0.015`, `greedy`."""
    return f"{named(arm.method).symbol} {value_words(arm.value, arm.settings)}".strip()


def setting(point: Point) -> str:
    """`T 0.8`, or `σ 0.015, N 64`; empty for greedy answers."""
    words = "" if point.arm is None or point.kind == GREEDY.name else arm_words(point.arm)
    return words if point.size is None else f"{words}, N {point.size:,}"


def answers(one: Budget) -> Iterator[str]:
    """The verdicts on the last models of a family, with as many answers per test problem as they have."""
    for measure in WAYS:
        verdict = one.final(measure)
        if verdict is not None:
            yield _said(verdict, WAYS[measure], one)


def _said(verdict: Verdict, way: str, one: Budget) -> str:
    trained, sampler, delta = verdict.trained, verdict.sampler, verdict.delta
    how = "greedily" if trained.arm is None else f"{arm_words(trained.arm)}, b = {trained.own:,}"
    chosen = ", ".join(filter(None, [setting(sampler), f"b = {sampler.own:,}"]))
    text = (
        f"{way}: {verdict.word}. {trained.model} ({how}) has {percent(trained.value)}, {KINDS[sampler.kind]} ({chosen}) "
        f"{percent(sampler.value)} for the same budget of {tenths(verdict.wanted)} rollouts per test problem: "
        f"{points(delta.value, delta.interval)} points, margin {100 * one.margin:g}."
    )
    if verdict.word != "undecided":
        return text
    if verdict.needed is None:
        return f"{text} More test problems alone would not decide it: training seeds or models vary too much."
    return f"{text} About {verdict.needed:,} test problems would decide it, if the difference is what it seems."


def lacking(one: Budget) -> Iterator[str]:
    """What the data of a family do not have, and how to get it."""
    seeds = len(one.training.lines)
    if seeds == 1:
        yield (
            "note: one training seed, so the intervals lack what another seed would change; `esprobe train --seed 1,2,3,4,5` "
            "makes five."
        )
    elif seeds < FEW_SEEDS:
        yield f"note: {seeds} training seeds; {FEW_SEEDS} or more show better how much they vary."
    if not one.trained_on:
        yield (
            f"note: the database does not say which problems {one.training.name} was trained on; `--train FILE` names them, "
            "so that none is tested."
        )
    if not one.choice:
        yield (
            "note: the base has no samples on problems that are not tested, so T and σ are chosen on the test problems, which "
            "flatters sampling, and no models can be chosen; sample it on training problems too."
        )
    yield from _shallow(one)
    methods = {arm.method for arm in one.candidates}
    for method, command in ((TEMPERATURE, "sample-temp"), (PERTURBATION, "sample-perturb")):
        if method.name not in methods:
            yield (
                f"note: {method.noun} is not compared; `esprobe {command} --model {one.base}` on the test problems and on "
                "training problems."
            )
    for arm, reason in one.left_out:
        yield f"note: arm {arm.arm_id} ({arm_words(arm)}) is left out: {reason}."


def _shallow(one: Budget) -> Iterator[str]:
    """Where a sampler would get more than is stored."""
    short = [verdict for verdict in one.verdicts if verdict.sampler.total < 0.9 * verdict.trained.total]
    if short:
        worst = max(short, key=lambda verdict: verdict.wanted)
        yield (
            f"note: {counted(len(short), 'comparison', 'gives', 'give')} the sampler less than the trained model's budget, up to "
            f"{worst.wanted:,.0f} rollouts per test problem, since fewer draws or models are stored; that favours training."
        )


def meaning(every: Sequence[Budget]) -> Iterator[str]:
    """What the columns are, once for all families."""
    yield (
        "before: rollouts before the first test problem, of training or of choosing models; b: rollouts per test problem, "
        "which is K of the top K; "
        "total: before + b for each test problem. budget: total per test problem; problems: how many would decide, if the "
        "difference is what it seems."
    )
    choices = sorted({one.choice for one in every if one.choice})
    if choices:
        sizes = " or ".join(f"{size:,}" for size in choices)
        yield (
            f"T, σ, N and K are chosen on {sizes} other problems alone, models on one half of them and K on the other; "
            "a model to choose from costs as many rollouts as there are."
        )
    yield (
        "sampling suffices: the 95% interval of trained − sampler ends below the margin; training needed: it begins above 0. "
        "Intervals: over problems, training seeds and perturbed models."
    )
