"""Counter-based random words: Philox4x32-10, the keys of parameters, and the uniforms of rollouts.

Knows integers and tensors, not what the numbers are used for.
"""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)  # Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"
_WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(key: "tuple[int | Tensor, int | Tensor]", counter: "Tensor") -> "tuple[Tensor, Tensor, Tensor, Tensor]":
    """Philox4x32-10 (Salmon et al. 2011): four 32-bit words per counter, as int64 tensors of the counter's shape.

    `key` is two 32-bit words (ints, or tensors that broadcast); the counter's low 64 bits come from `counter` (int64, ≥ 0).
    """
    import torch

    k0, k1 = key
    c0, c1 = counter & _MASK, counter >> 32
    c2 = c3 = torch.zeros_like(counter)
    for _ in range(10):
        # int64 wraps around, but the bits of the 64-bit product are the same as unsigned
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = ((p1 >> 32) & _MASK) ^ c1 ^ k0, p1 & _MASK, ((p0 >> 32) & _MASK) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def parameter_key(seed: int, name: str) -> tuple[int, int]:
    """The Philox key of a parameter: the first 64 bits of SHA-256 over seed and checkpoint name."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def uniforms(keys: Iterable[int], count: int) -> "Tensor":
    """Uniforms in [0, 1), float64 (keys, count): the random streams of rollouts, each a function of its 64-bit key alone."""
    import torch

    words = [(key & _MASK, (key >> 32) & _MASK) for key in keys]
    k0, k1 = (torch.tensor([w[i] for w in words]).unsqueeze(1) for i in (0, 1))  # (keys, 1)
    counter = torch.arange(count).expand(len(words), count)
    a, b, _, _ = philox((k0, k1), counter)
    # 53 bits: the precision of a float64
    return ((a >> 5).double() * 2.0**26 + (b >> 6).double()) * 2.0**-53
