"""What a backend is: an engine that turns token ids into token ids under given weights.

A backend knows no text, no task, no database. Each lives in its own module and is imported only when it is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from esprobe.arms import Weights
from esprobe.weights.rounding import Rounding

Finish = Literal["stop", "length", "nan"]  # end token; limit of tokens or context; the model's output was not a number


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen. `temperature` 0 is greedy; otherwise `keys` has one 64-bit stream key per prompt.

    A token is drawn from softmax(logits / temperature), after the truncations that are not None. With the tokens in order of
    probability, of equal ones the lower id first, each keeps some of the first ones:

    1. `min_p`, 0 < min_p ≤ 1: those at least min_p times as probable as the first (Nguyen et al., "Turning Up the Heat", 2024,
       arXiv 2407.01082);
    2. `top_k` ≥ 1: at most k (Fan et al., "Hierarchical Neural Story Generation", 2018, arXiv 1805.04833);
    3. `top_p`, 0 < top_p ≤ 1: as few as together have at least the share top_p of the probability that 1 and 2 have left
       (Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019, arXiv 1904.09751).

    What is kept is drawn in proportion to its probability. The order is vLLM's. transformers' `generate` applies min_p last, so
    top_p takes its share before min_p has removed anything: with both, and only then, its distribution is different.
    """

    max_new_tokens: int
    temperature: float = 0.0
    keys: tuple[int, ...] = ()
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None

    def part(self, rows: slice) -> "Decoding":
        """The same for some of the prompts."""
        return replace(self, keys=self.keys[rows])


class OutOfMemoryError(Exception):
    """The prompts of a call, or a second copy of the weights, do not fit into memory."""


@dataclass(frozen=True)
class Generation:
    """The new tokens of one prompt, an end token included if there was one, and why they ended."""

    ids: list[int]
    finish: Finish


class Backend(Protocol):
    """An engine with one model.

    Opening one raises UserError where the checkpoint is not exactly what the model's config asks for, where its files are no
    longer those of the digest, or where it cannot be decoded correctly token by token.
    """

    def prepare(self) -> None:
        """Makes sure that noise will reach every weight. Raises UserError where it would not."""
        ...

    def rounding(self, weights: Weights) -> dict[str, Rounding]:
        """Sets the weights and measures what rounding leaves of their perturbation, by group of weights."""
        ...

    def set_weights(self, weights: Weights) -> None:
        """Generates with these from now on; `BASE` are the model's own, bit for bit. Setting the same again is free.

        Those of a trained model are kept in float32, so that more updates of the same training cost no more than themselves; an
        engine that does not have the earlier ones makes all of them from the root. Raises UserError, OutOfMemoryError.
        """
        ...

    def generate(self, prompts: Sequence[Sequence[int]], decoding: Decoding) -> list[Generation]:
        """One generation per prompt, in order, under the current weights. Raises OutOfMemoryError; fewer prompts may fit."""
        ...

    def close(self) -> None:
        """Releases the engine's resources."""
        ...
