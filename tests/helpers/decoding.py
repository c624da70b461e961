"""The distribution that `backend.Decoding` defines, in its own words and in exact arithmetic, to compare ours with."""

from collections.abc import Sequence
from fractions import Fraction
from math import exp

from esprobe.engines.backend import Decoding


def truncated(probabilities: Sequence[Fraction], decoding: Decoding) -> list[Fraction]:
    """What top_p, top_k and min_p leave, one token after the other, adding up to 1."""
    order = sorted(range(len(probabilities)), key=lambda token: (-probabilities[token], token))
    if decoding.min_p is not None:
        order = [token for token in order if probabilities[token] >= Fraction(decoding.min_p) * probabilities[order[0]]]
    if decoding.top_k is not None:
        order = order[: decoding.top_k]
    if decoding.top_p is not None:
        wanted = Fraction(decoding.top_p) * sum(probabilities[token] for token in order)
        held, fewest = Fraction(0), []
        while held < wanted:
            fewest.append(order[len(fewest)])
            held += probabilities[fewest[-1]]
        order = fewest
    total = sum(probabilities[token] for token in order)
    return [probability / total if token in order else Fraction(0) for token, probability in enumerate(probabilities)]


def softmax(logits: Sequence[float], temperature: float) -> list[Fraction]:
    """exp(logit / T), normalised; exact but for the exponentials, which are doubles."""
    weights = [Fraction(exp((logit - max(logits)) / temperature)) for logit in logits]
    total = sum(weights)
    return [weight / total for weight in weights]
