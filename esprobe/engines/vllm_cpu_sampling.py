"""Gives vLLM's sampler on a CPU the top-k and top-p that its GPU kernels and our own backend have.

There vLLM keeps all tokens that tie with the k-th and, of those that tie at top-p's cut, the higher ids. Knows vLLM's sampler, no
weights.
"""

import torch
from torch import Tensor
from vllm.v1.sample.ops import topk_topp_sampler

from esprobe.engines.backend import Decoding
from esprobe.engines.choice import kept


def install() -> None:
    """Replaces vLLM's function in this process."""
    topk_topp_sampler.apply_top_k_top_p = apply_top_k_top_p


def apply_top_k_top_p(logits: Tensor, k: Tensor | None, p: Tensor | None) -> Tensor:
    """Logits (rows, vocabulary), −∞ for what is excluded; `k` and `p` (rows,) as vLLM has them, off where k is the vocabulary.

    All rows are alike: the requests of one batch share their `Decoding`.
    """
    if k is None and p is None:
        return logits
    decoding = Decoding(1, top_k=None if k is None else int(k[0]), top_p=None if p is None else float(p[0]))
    return logits.masked_fill(~kept(logits.softmax(-1), decoding), -torch.inf)
