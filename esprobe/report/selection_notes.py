"""The sentences of `report --select`: what was found, above its tables; below them the rest, and what the columns mean.

Knows what a selection contains. Must not know tables or the database.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from esprobe.analysis.selection import Selection
from esprobe.report.notes import BY_EXPRESSION
from esprobe.report.plots.findings import decided
from esprobe.report.words import arm_name, p_words, percent, plural, points
from esprobe.stats.reselection import DECIDING, HALVES, RESAMPLES, Figure


class Claim(NamedTuple):
    """By how much what was chosen is better than its rival, where it was not chosen."""

    ours: str
    rival: str
    over: Figure


def answers(every: Sequence[Selection]) -> Iterator[str]:
    """What choosing is worth, for each base: one chosen model compared with greedy decoding, votes of the best with samples."""
    models: dict[tuple[str, str], list[Selection]] = {}
    for one in every:
        models.setdefault((one.arms[0].model, one.arms[0].model_digest), []).append(one)
    for (model, _), populations in models.items():
        if any(one.solved_anything for one in populations):
            whose = "" if len(models) == 1 else f"{model}: "
            yield from (f"{whose}{_most(claims)}" for claims in (_best(populations), _votes(populations)) if claims)


def _best(populations: Sequence[Selection]) -> list[Claim]:
    """The best of the largest N and greedy decoding, or, where no population has that, a model taken at random."""
    quantity, rival = "best_over_greedy", "greedy decoding"
    if not any(one.selected.at(quantity) for one in populations):
        quantity, rival = "gain_test", "a model taken at random"
    known = [(one, largest(figures)) for one in populations if (figures := one.selected.at(quantity))]
    return [Claim(f"The best of {over.at:,} models at {names(one)}", rival, over) for one, over in known]


def _votes(populations: Sequence[Selection]) -> list[Claim]:
    """The vote of the best models at the largest K and that of as many samples; nothing where no arm has so many."""
    known = [(one, largest(figures)) for one in populations if (figures := one.selected.at("vote_over_temperature"))]
    return [
        Claim(
            f"The vote of the best {plural(f'{over.at:,}', 'model')} at {names(one)}",
            f"that of {plural(f'{over.at:,}', 'sample')} at the best T",
            over,
        )
        for one, over in known
    ]


def _most(claims: Sequence[Claim]) -> str:
    """The claim of the greatest difference, of those above 0 if there are any; of several also that it was chosen for that."""
    claims = [claim for claim in claims if claim.over.interval is not None] or claims
    ours, rival, over = max(claims, key=lambda claim: (decided(claim.over.interval) > 0, claim.over.value))
    side, doubt = decided(over.interval), over.interval.doubt if over.interval else ""
    where = f"on the test problems: {points(over.value, over.interval)} points"
    if over.interval is None:
        text = f"{ours} compared with {rival} {where}, without an interval"
    elif side:
        text = f"{ours} is {'above' if side > 0 else 'below'} {rival} {where}"
    else:
        text = f"{ours} and {rival} cannot be told apart {where}" + (f" (not trustworthy: {doubt})" if doubt else "")
    if len(claims) > 1:
        text += f", the best of {len(claims):,} populations" + (", which flatters it" if side > 0 else "; none is above")
    return f"{text}."


def found(one: Selection) -> Iterator[str]:
    """The sentences about one population."""
    yield _spread(one)
    gain = largest(one.selected.at("gain_test"))
    train, test = (one.selected.at(name)[gain.at] for name in ("best_train", "best_test"))
    which = f"all {gain.at:,}" if gain.at == one.models else f"{gain.at:,}"
    said = f"{one.selected.at('slope')[None].value:.2f}".replace("-", "−")
    yield (
        f"The best of {which} has {percent(train.value)} where it was chosen and {percent(test.value)} where it was not, "
        f"{points(gain.value, gain.interval)} points over a model taken at random. A model that is 1 point better on the train "
        f"problems is {said} points better on the test problems."
    )
    greedy = one.selected.at("base_greedy").get(None)
    if greedy is None:
        yield "There is no greedy arm of the unperturbed model on these problems to compare with."
    else:
        yield f"Greedy decoding of the unperturbed model has {percent(greedy.value, greedy.interval)} on the test problems."
    if one.ks and not one.temperatures:
        yield "There is no temperature arm on these problems to compare with."
    doubts = {figure.interval.doubt for figure in one.selected.figures if figure.interval is not None and figure.interval.doubt}
    if doubts:
        yield f"not trustworthy: intervals of {'; '.join(sorted(doubts))}."
    if any(figure.interval is None for name in ("gain_test", "vote_test") for figure in one.selected.at(name).values()):
        yield (
            f"[–]: no interval where fewer than {DECIDING} models decide: at N above n/{DECIDING} of n models, and at K below "
            f"{DECIDING}. On halves as few as 85% of such intervals contain the truth in simulations. --train FILE gives one."
        )
    if one.samples > 1:
        yield f"A model has {one.samples:,} samples of each problem: its accuracy is their mean, and it votes with the first."
    if one.left_out:
        yield f"note: {one.left_out:,} models are left out, which have not answered every problem."


def names(one: Selection) -> str:
    """The arms that are chosen from: `σ 0.01 and σ 0.02`."""
    return " and ".join(arm_name(arm) for arm in one.arms)


def largest(figures: Mapping[int | None, Figure]) -> Figure:
    """That of the largest N or K with an interval, or where none above 1 has one, of the largest."""
    sizes = [at for at in figures if at is not None]
    known = [at for at in sizes if at > 1 and figures[at].interval is not None]
    return figures[max(known or sizes)]


def _spread(one: Selection) -> str:
    spread, p = one.selected.spread, one.selected.p
    seen, luck = 100 * spread.observed**0.5, 100 * spread.luck**0.5
    said = f"The models' accuracies have a standard deviation of {seen:.2f} points; luck alone would give {luck:.2f}"
    if spread.interval is None or p is None:
        return f"{said}."
    low, high = (100 * max(0.0, end) ** 0.5 for end in spread.interval)
    doubt = f" (not trustworthy: {spread.interval.doubt})" if spread.interval.doubt else ""
    return (
        f"{said}. What remains is a true difference of τ = {100 * spread.deviation:.2f} points [{low:.2f}, {high:.2f}]{doubt}; "
        f"{p_words(p)} of none, by shuffling."
    )


def meaning(every: Sequence[Selection]) -> Iterator[str]:
    """What the columns are, once for all populations."""
    yield (
        "best of N: the one that is best on the train problems, of N models taken at random; equally good ones count alike. "
        "gain: over a model taken at random. over greedy: over greedy decoding of the unperturbed model."
    )
    yield (
        "equal: what N equally good models would show, by shuffling each problem's verdicts among the models; the range has 95% "
        "of such populations."
    )
    if any(one.ks for one in every):
        yield (
            f"vote: the most frequent ballot. By value, ballots are {_key(every)}; ties go to the better-ranked model; an answer "
            "without a ballot does not vote. any: one of the K is right, for those who can verify."
        )
    if any(one.votes_by_expression for one in every):
        yield BY_EXPRESSION
    temperatures = dict.fromkeys(arm_name(arm) for one in every for arm in one.temperatures)
    if temperatures:
        yield (
            "at best T: K samples of the unperturbed model at the temperature that is best at K on the train problems, of "
            f"{', '.join(temperatures)}."
        )
    if any(one.train is None for one in every):
        yield f"Everything is the mean over {HALVES} random halves of the problems, both ways round."
    costs = dict.fromkeys(f"{one.problems // 2 if one.train is None else one.train:,}" for one in every)
    yield (
        f"Choosing among N models costs N × {' or '.join(costs)} rollouts before the first test problem; samples at a "
        "temperature cost none."
    )
    yield f"95% intervals: over problems and models, everything chosen again in {RESAMPLES} resamples."


def _key(every: Sequence[Selection]) -> str:
    if all(one.arms[0].task == "countdown" for one in every):
        return "values: two expressions of one value are one ballot"
    return "canonical answers"
