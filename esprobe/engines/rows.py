"""The rows of a batch while it is decoded: which of them still go on, the tokens of each, and why it ended.

Kept in the main memory, whatever device decodes. Knows token ids, no model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from esprobe.engines.backend import Finish, Generation


class Rows:
    """`alive` (B,): which row each one of the batch belongs to. `going` (B,): which of those have not ended."""

    def __init__(self, limits: Sequence[int], end_ids: Sequence[int]) -> None:
        """`limits`: of each row, how many tokens it may get."""
        rows = len(limits)
        self.limits, self.end_ids = np.array(limits), np.array(end_ids, dtype=np.int64)
        self.alive, self.going = np.arange(rows), np.ones(rows, dtype=bool)
        self.chosen = np.zeros((rows, max(limits)), dtype=np.int64)
        self.lengths = self.limits.copy()
        self.finish: list[Finish] = ["length"] * rows
        self.steps = 0

    def add(self, tokens: npt.NDArray[np.int64]) -> bool:
        """One more token for each of the batch (B,), or ~token where the model's output was not a number. Whether any goes on."""
        broken = tokens < 0
        tokens = np.where(broken, ~tokens, tokens)
        self.chosen[self.alive, self.steps] = tokens  # of a row that has ended, beyond its length
        self.steps += 1
        stopped = broken | (tokens[:, None] == self.end_ids).any(1)
        for i in (self.going & stopped).nonzero()[0]:
            self.lengths[self.alive[i]] = self.steps
            self.finish[self.alive[i]] = "nan" if broken[i] else "stop"
        self.going &= ~stopped & (self.limits[self.alive] > self.steps)
        return bool(self.going.any())

    def keep(self) -> npt.NDArray[Any]:
        """Drops those that have ended from the batch; where in it the others were."""
        kept = self.going.nonzero()[0]
        self.alive, self.going = self.alive[kept], self.going[kept]
        return kept

    def generations(self) -> list[Generation]:
        """Of all rows, in order."""
        return [
            Generation(tokens[:length].tolist(), why)
            for tokens, length, why in zip(self.chosen, self.lengths, self.finish, strict=True)
        ]
