"""Which token comes next: the distribution that `backend.Decoding` defines, and a token of it for each uniform.

Knows logits and uniforms, not the model that the ones come from nor the stream that the others belong to.
"""

import torch
from torch import Tensor
from torch.nn import functional

from esprobe.engines.backend import Decoding

# Lower than any difference of logits calls for, and what float32 can divide by.
LEAST_TEMPERATURE = 1e-30


def choose(logits: Tensor, decoding: Decoding, uniform: Tensor | None) -> Tensor:
    """The next token of each row (rows,): the largest of `logits` (rows, vocabulary) where `uniform` is None (greedy).

    Otherwise the inverse of the cumulative distribution at `uniform` (rows,), float64 in [0, 1).
    """
    if uniform is None:
        return logits.argmax(-1)
    probabilities = (logits / max(decoding.temperature, LEAST_TEMPERATURE)).softmax(-1)
    if not (decoding.top_p is decoding.top_k is decoding.min_p is None):
        probabilities = probabilities.where(kept(probabilities, decoding), 0)
    cumulative = probabilities.double().cumsum(-1)
    wanted = uniform.unsqueeze(1) * cumulative[:, -1:]  # so they need not be normalised
    return torch.searchsorted(cumulative, wanted, right=True).squeeze(1).clamp(max=logits.shape[1] - 1)


def kept(probabilities: Tensor, decoding: Decoding) -> Tensor:
    """Which tokens top_p, top_k and min_p leave: bool, the shape of `probabilities` (rows, vocabulary); of a row with a NaN, any.

    Sorts only as many tokens as can be left, and only their probabilities: of equal ones the lower ids are found by counting.
    """
    first = probabilities.topk(_at_most(probabilities, decoding)).values  # (rows, at most so many), in descending order
    stays = first >= (decoding.min_p or 0) * first[:, :1]
    if decoding.top_p is not None:
        mass = (first * stays).double().cumsum(-1)
        before = functional.pad(mass[:, :-1], (1, 0))  # what the more probable ones have; 0 for the first
        # without min_p and top_k the whole is that of all tokens, and `first` may lack the least probable
        whole = mass[:, -1:] if decoding.min_p or decoding.top_k else probabilities.sum(-1, keepdim=True, dtype=torch.double)
        stays &= before < decoding.top_p * whole
    count = stays.sum(-1, keepdim=True).clamp(min=1)  # (rows, 1)
    last = first.gather(1, count - 1)
    more, equal = probabilities > last, probabilities == last
    return more | (equal & (equal.cumsum(-1) <= count - more.sum(-1, keepdim=True)))


def _at_most(probabilities: Tensor, decoding: Decoding) -> int:
    """A bound on the tokens left in any row, at least 1.

    For top_p alone: tokens below (1 − top_p)/(2 · vocabulary) have together less than half of 1 − top_p, so all others have more
    than top_p, whatever rounding has done to the sum.
    """
    vocabulary = probabilities.shape[1]
    if decoding.top_k is not None:
        return min(decoding.top_k, vocabulary)
    if decoding.min_p is not None:
        floor: Tensor | float = decoding.min_p * probabilities.amax(-1, keepdim=True)
    else:
        floor = (1 - (decoding.top_p or 1)) / (2 * vocabulary)
    return max(1, int((probabilities >= floor).sum(-1).max()))
