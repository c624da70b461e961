"""The exact solver agrees with brute force, and with what is known of the published problems."""

import json
from fractions import Fraction
from itertools import permutations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esprobe.tasks.countdown.scorers import countdown
from esprobe.tasks.countdown.solver import expressions, solve
from esprobe.tasks.countdown.task import Countdown


def every_value(numbers: tuple[int, ...]) -> list[Fraction | None]:
    """The value of every tree over `numbers` in this order, None for division by zero: shapes × operators by recursion."""
    if len(numbers) == 1:
        return [Fraction(numbers[0])]
    values: list[Fraction | None] = []
    for cut in range(1, len(numbers)):
        for a, b in product(every_value(numbers[:cut]), every_value(numbers[cut:])):
            if a is None or b is None:
                values += [None] * 4
            else:
                values += [a + b, a - b, a * b, a / b if b else None]
    return values


@settings(max_examples=40)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.integers(-3, 30))
def test_chance_and_solution_agree_with_brute_force(numbers: list[int], target: int) -> None:
    values = [v for order in permutations(numbers) for v in every_value(order)]
    assert len(values) == expressions(len(numbers))
    hits = sum(v is not None and abs(v - target) < Fraction(1, 100_000) for v in values)
    solved = solve(numbers, Fraction(target))
    assert solved.chance == hits / len(values)
    signed = [v for value in values if value is not None for v in (value, -value)]  # a sign moves outwards
    assert (solved.solution is not None) == any(abs(v - target) < Fraction(1, 100_000) for v in signed)
    assert solved.outcomes == len({v for v in values if v is not None})
    if solved.solution:
        payload = {"numbers": numbers, "target": str(target)}
        assert countdown(payload, f"<answer>{solved.solution}</answer>").correct


@pytest.mark.parametrize(
    ("numbers", "target", "solution"),
    [
        ([2, 3], -5, "-(2 + 3)"),
        ([2, 3], -6, "-(2 * 3)"),
        ([2, 3], -1, "(2 - 3)"),
        ([2, 3], -7, None),
        ([4], -4, "-4"),
        ([4], 4, "4"),
    ],
)
def test_a_negative_target_may_take_a_leading_sign(numbers: list[int], target: int, solution: str | None) -> None:
    assert solve(numbers, Fraction(target)).solution == solution
    if solution:
        assert countdown({"numbers": numbers, "target": str(target)}, f"<answer>{solution}</answer>").correct


def test_what_guessing_scores_on_the_bundled_problems() -> None:
    task = Countdown()
    facts = [task.facts(problem) for problem in task.bundled()[:64]]
    chances = [1 - (1 - fact.chance) ** 64 for fact in facts if fact.chance is not None]
    values = [1 - (1 - 1 / fact.outcomes) ** 64 for fact in facts if fact.outcomes is not None]
    assert sum(chances) / 64 == pytest.approx(0.590, abs=5e-4)  # random expressions
    assert sum(values) / 64 == pytest.approx(0.343, abs=5e-4)  # random values, each as likely as any other
    assert {fact.stratum for fact in facts} == {"3 numbers", "4 numbers"}


def test_five_numbers_are_counted_exactly() -> None:
    numbers = [1, 2, 3, 4, 5]
    values = [v for order in permutations(numbers) for v in every_value(order)]
    assert len(values) == expressions(5) == 430_080
    assert solve(numbers, Fraction(100)).chance == sum(v == 100 for v in values) / len(values)


def test_more_than_five_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        solve([1] * 6, Fraction(6))


def test_the_published_problems_have_the_known_ceiling_and_chance(published: Path) -> None:
    solved = [solve(r["numbers"], Fraction(r["target"])) for r in json.loads(published.read_text())]
    assert sum(s.solution is None for s in solved) == 14
    chances = [s.chance for s in solved[200:328]]
    assert [i for i in range(200, 328) if solved[i].solution is None] == [263, 281]
    at = {k: sum(1 - (1 - p) ** k for p in chances) / 128 for k in (1, 512)}
    assert at[1] == pytest.approx(0.0172, abs=5e-5)
    assert at[512] == pytest.approx(0.754, abs=5e-4)
