"""Counter-based random words: Philox4x32-10, the keys of parameters, and the uniforms of rollouts.

Knows integers and tensors, not what the numbers are used for.
"""

import hashlib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)  # Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"
_BLOCK = 1 << 13  # counters
_WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(key: "tuple[int | Tensor, int | Tensor]", counter: "Tensor") -> "tuple[Tensor, Tensor, Tensor, Tensor]":
    """Philox4x32-10 (Salmon et al. 2011): four 32-bit words per counter, as int64 tensors of the counter's shape.

    `key` is two 32-bit words (ints, or tensors that broadcast); the counter's low 64 bits come from `counter` (int64, ≥ 0).
    """
    return _in_blocks(key, counter) if counter.device.type == "cpu" else _at_once(key, counter)


def _at_once(key: "tuple[int | Tensor, int | Tensor]", counter: "Tensor") -> "tuple[Tensor, Tensor, Tensor, Tensor]":
    """`philox` by torch, on any device."""
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


def _in_blocks(key: "tuple[int | Tensor, int | Tensor]", counter: "Tensor") -> "tuple[Tensor, Tensor, Tensor, Tensor]":
    """`philox` by numpy, which has 32-bit words: a third of the time, in blocks whose working set stays in the cache."""
    import numpy as np
    import torch

    given = counter.reshape(-1).numpy()
    keys = [np.broadcast_to(np.asarray(word), counter.shape).reshape(-1) for word in key]
    words = np.empty((4, len(given)), np.int64)
    products = np.empty((2, _BLOCK), np.uint64)
    low, high = (0, 1) if sys.byteorder == "little" else (1, 0)  # of a product's halves
    for start in range(0, len(given), _BLOCK):
        part = slice(start, start + _BLOCK)
        c0, c1 = ((given[part] >> shift & _MASK).astype(np.uint32) for shift in (0, 32))
        c2, c3 = np.zeros_like(c0), np.zeros_like(c0)
        k0, k1 = (word[part].astype(np.uint32) for word in keys)
        p0, p1 = products[:, : len(c0)]
        halves0, halves1 = p0.view(np.uint32), p1.view(np.uint32)
        for _ in range(10):
            np.multiply(c0, np.uint64(_MULTIPLIERS[0]), out=p0)
            np.multiply(c2, np.uint64(_MULTIPLIERS[1]), out=p1)
            np.bitwise_xor(halves1[high::2], c1, out=c0)
            np.bitwise_xor(halves0[high::2], c3, out=c2)
            c0 ^= k0
            c2 ^= k1
            c1[:], c3[:] = halves1[low::2], halves0[low::2]
            k0 += np.uint32(_WEYL[0])  # arrays wrap around in silence
            k1 += np.uint32(_WEYL[1])
        for word, made in zip(words, (c0, c1, c2, c3), strict=True):
            word[part] = made
    a, b, c, d = (torch.from_numpy(word).view(counter.shape) for word in words)
    return a, b, c, d


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
