"""Exact solutions of a Countdown problem: is there one, how likely is a random expression to be one, how many values are there.

Knows whole numbers, rational targets and the rule's tolerance. Knows nothing of prompts, model output or databases.

A *valid expression* is a permutation of the numbers, a tree shape and an operator for each inner node;
there are n! · Catalan(n−1) · 4^(n−1) of them, and every ordered binary tree with labelled leaves is exactly one.
So all of them can be counted by combining subsets: values of a subset, each with its number of expressions.

The rule also lets an operand have a sign. A sign can be moved outwards through every operator, and a difference takes one by
being reversed, so signs add only the negatives of values that are made without subtraction. The expressions counted here have
none: a negative target may be solvable by `-(2 + 3)` while its chance is 0.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import comb, factorial, gcd

TOLERANCE = Fraction(1, 100_000)  # the published rule: |value − target| < 1e-5
MAX_NUMBERS = 5  # exact enumeration beyond this takes minutes per problem

Rational = tuple[int, int]  # numerator, denominator > 0, in lowest terms
Values = dict[Rational, tuple[int, str]]  # value → (how many expressions give it, one of them)


@dataclass(frozen=True)
class Solved:
    """What enumeration proved: `solution` is None exactly when no expression reaches the target, signs allowed.

    `chance` is the probability that a uniformly random valid expression reaches it, `outcomes` the number of distinct values that
    valid expressions have.
    """

    solution: str | None
    chance: float
    outcomes: int


def close(numerator: int, denominator: int, target: Fraction) -> bool:
    """Whether numerator/denominator is within the rule's tolerance of the target, exactly. `denominator` ≠ 0."""
    off = abs(numerator * target.denominator - target.numerator * denominator)
    return off * TOLERANCE.denominator < abs(denominator) * target.denominator * TOLERANCE.numerator


def expressions(n: int) -> int:
    """The number of valid expressions over n numbers: n! · Catalan(n−1) · 4^(n−1)."""
    catalan = comb(2 * (n - 1), n - 1) // n
    return factorial(n) * catalan * (1 << 2 * (n - 1))


def solve(numbers: list[int], target: Fraction) -> Solved:
    """Enumerates every valid expression over `numbers` (1 to 5 of them; ValueError otherwise)."""
    n = len(numbers)
    if not 1 <= n <= MAX_NUMBERS:
        raise ValueError(f"exact enumeration is for 1 to {MAX_NUMBERS} numbers, not {n}")
    whole = (1 << n) - 1
    values: dict[int, Values] = {1 << i: {(x, 1): (1, str(x))} for i, x in enumerate(numbers)}
    for subset in range(1, whole + 1):  # every proper subset comes after its own subsets
        if subset not in values:
            values[subset] = _all_values(subset, values)
    reached = values[whole]
    hits = [found for value, found in reached.items() if close(*value, target)]
    negatives = [f"-{text}" for value, (_, text) in reached.items() if close(*value, -target)]
    solution = next((text for _, text in hits), None) or next(iter(negatives), None)
    return Solved(solution, sum(ways for ways, _ in hits) / expressions(n), len(reached))


def _splits(subset: int) -> list[tuple[int, int]]:
    """Each way to cut a subset into two non-empty parts, once (the first has the lowest bit)."""
    lowest = subset & -subset
    rest = subset ^ lowest
    parts = []
    part = rest
    while part:
        parts.append((subset ^ part, part))
        part = (part - 1) & rest
    return parts


def _all_values(subset: int, values: dict[int, Values]) -> Values:
    result: Values = {}

    def add(numerator: int, denominator: int, count: int, left: str, op: str, right: str) -> None:
        if denominator < 0:
            numerator, denominator = -numerator, -denominator
        divisor = gcd(numerator, denominator)
        key = (numerator // divisor, denominator // divisor)
        old = result.get(key)
        if old is None:
            result[key] = (count, f"({left} {op} {right})")
        else:
            result[key] = (old[0] + count, old[1])

    for left, right in _splits(subset):
        for (a, b), (m, x) in values[left].items():
            for (c, d), (k, y) in values[right].items():
                ways = m * k
                ad, cb, bd = a * d, c * b, b * d
                add(ad + cb, bd, 2 * ways, x, "+", y)  # twice: x + y and y + x are two expressions
                add(ad - cb, bd, ways, x, "-", y)
                add(cb - ad, bd, ways, y, "-", x)
                add(a * c, bd, 2 * ways, x, "*", y)
                if c:
                    add(ad, cb, ways, x, "/", y)
                if a:
                    add(cb, ad, ways, y, "/", x)
    return result
