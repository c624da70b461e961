"""Makes solvable Countdown problems from a seed, each with the steps of one solution.

Knows the game only. The bundled test set and the training data of `countdown-tiny` come from here.
"""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

MAX_VALUE = 999  # of every step, so that a small model can learn it
OPERATORS = "+--**//"  # sums survive the limits more often than the others, and are the easiest to guess: fewer of them

Key = tuple[tuple[int, ...], str]


@dataclass(frozen=True)
class Made:
    """A problem with one solution: `steps` such as `92 - 54 = 38`, and the whole as one expression."""

    numbers: tuple[int, ...]
    target: str
    steps: tuple[str, ...]
    solution: str

    @property
    def key(self) -> Key:
        """Equal for problems that differ only in the order of their numbers."""
        return key(self.numbers, self.target)

    @property
    def record(self) -> dict[str, Any]:
        """As one record of a data file."""
        return {"numbers": list(self.numbers), "target": self.target, "solution": self.solution}


def key(numbers: Collection[int], target: str) -> Key:
    """What two problems share when one gives the other away."""
    return tuple(sorted(numbers)), target


def generate(seed: int, exclude: Collection[Key] = (), decimal_share: float = 0.0) -> Iterator[Made]:
    """Endless distinct problems, alternating 3 and 4 numbers from 1 to 99, none of them in `exclude`.

    Steps stay among the whole numbers 0 to 999, but in a share of `decimal_share` the target is a decimal.
    """
    rng = random.Random(seed)
    seen = set(exclude)
    count = 3
    while True:
        made = _attempt(rng, count, rng.random() < decimal_share)
        if made is not None and made.key not in seen:
            seen.add(made.key)
            yield made
            count = 7 - count


def _attempt(rng: random.Random, count: int, decimal: bool) -> Made | None:
    numbers = tuple(rng.randint(1, 99) for _ in range(count))
    terms = [(Fraction(x), str(x)) for x in numbers]
    steps = []
    while len(terms) > 1:
        (a, x), (b, y) = (terms.pop(rng.randrange(len(terms))) for _ in range(2))
        op = rng.choice(OPERATORS)
        if op == "/" and b == 0:
            return None
        value = {"+": a + b, "-": a - b, "*": a * b, "/": a / (b or 1)}[op]
        last_decimal = decimal and not terms
        if not 0 <= value <= MAX_VALUE or (value.denominator != 1) != last_decimal:
            return None
        steps.append(f"{a} {op} {b} = {_text(value)}")
        terms.append((value, f"({x} {op} {y})"))
    value, solution = terms[0]
    return Made(numbers, _text(value), tuple(steps), solution)


def _text(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else repr(float(value))
