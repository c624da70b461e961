"""The trained model that ships as what made it: for every iteration a list of seeds and coefficients, to be added to its root.

Knows the file. Must not know how updates are applied, nor what they are worth.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from esprobe.arms import Update, trained_digest, trained_name

TRAINED = "countdown-tiny-es"


@dataclass(frozen=True)
class Shipped:
    """A training with the digests of the models that it made, one per iteration.

    `training` is what it was set to, `rollouts` what each iteration cost.
    """

    root: str
    root_digest: str
    digests: tuple[str, ...]
    updates: tuple[Update, ...]
    training: Mapping[str, Any]
    rollouts: int

    def name(self, iteration: int) -> str:
        """What the model of an iteration is called."""
        return f"{TRAINED}@{iteration}"

    def record(self, iteration: int) -> dict[str, Any]:
        """What a database says of its last update: see `tables.Model`."""
        return self.updates[iteration - 1].record() | {"training": {**self.training, "rollouts_spent": self.rollouts}}


@cache
def shipped() -> Shipped:
    """The one that ships with esprobe."""
    content = json.loads((files("esprobe.bundled") / f"{TRAINED}.json").read_text(encoding="utf-8"))
    updates = tuple(Update(step["seeds"], step["coefficients"]) for step in content["updates"])
    digests = [content["root_digest"]]
    for update in updates:
        digests.append(trained_digest(digests[-1], [update]))
    return Shipped(
        content["root"], content["root_digest"], tuple(digests[1:]), updates, content["training"], content["rollouts_per_update"]
    )


def shipped_iteration(model: str) -> int | None:
    """The iteration that `countdown-tiny-es` (the last one) or `countdown-tiny-es@ITERATION` means; None for other names."""
    name, iteration = trained_name(model)
    if name != TRAINED:
        return None
    return len(shipped().updates) if iteration is None else iteration
