"""Two expressions have one normal form exactly if the steps that the module names lead from one to the other."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations, product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.tasks.base import Scorer
from esprobe.tasks.countdown.arithmetic import exact, parse
from esprobe.tasks.countdown.normal_form import normal_form
from esprobe.tasks.countdown.scorers import countdown, countdown_published

Tree = int | tuple[str, "Tree"] | tuple["Tree", str, "Tree"]


def written(tree: Tree) -> str:
    """Fully in parentheses."""
    match tree:
        case int():
            return str(tree)
        case (sign, inner):
            return f"({sign}{written(inner)})"
        case (left, op, right):
            return f"({written(left)}{op}{written(right)})"
    raise AssertionError


def form(tree: Tree) -> str:
    return normal_form(parse(written(tree), python=True))


def at_the_top(tree: Tree) -> Iterator[Tree]:
    """What one step of those that the module names makes of the tree, taken from left to right."""
    match tree:
        case ("-", ("-", x)) | ("+", x):
            yield x
        case ("-", (x, "+", y)):
            yield (("-", x), "+", ("-", y))
        case ("-", _):
            pass
        case (x, "-", y):
            yield (x, "+", ("-", y))
        case (x, ("+" | "*") as op, y):
            yield (y, op, x)
            match x:
                case (a, inner, b) if inner == op:
                    yield (a, op, (b, op, y))
                case ("-", a) if op == "*":
                    yield ("-", (a, "*", y))
                case (a, "/", b) if op == "*":
                    yield ((a, "*", y), "/", b)
        case (x, "/", y):
            match x:
                case (a, "/", b):
                    yield (a, "/", (b, "*", y))
                case ("-", a):
                    yield ("-", (a, "/", y))
                case (a, "*", b):
                    yield (a, "*", (b, "/", y))
            match y:
                case (a, "/", b):
                    yield ((x, "*", b), "/", a)
                case ("-", a):
                    yield ("-", (x, "/", a))


def one_step(tree: Tree) -> Iterator[Tree]:
    """What one step anywhere in the tree makes of it."""
    yield from at_the_top(tree)
    match tree:
        case (str() as sign, inner):
            yield from ((sign, made) for made in one_step(inner))
        case (left, op, right):
            yield from ((made, op, right) for made in one_step(left))
            yield from ((left, op, made) for made in one_step(right))


def once_signed(tree: Tree) -> Tree:
    """The tree without pairs of signs."""
    match tree:
        case ("-", ("-", inner)):
            return once_signed(inner)
        case (str() as sign, inner):
            return (sign, once_signed(inner))
        case (left, op, right):
            return (once_signed(left), op, once_signed(right))
    return tree


def shapes(leaves: tuple[Tree, ...]) -> Iterator[Tree]:
    """Every tree over the leaves in this order, each part of it with and without a minus."""
    if len(leaves) == 1:
        yield from (leaves[0], ("-", leaves[0]))
    for cut in range(1, len(leaves)):
        for left, op, right in product(shapes(leaves[:cut]), "+-*/", shapes(leaves[cut:])):
            yield from ((left, op, right), ("-", (left, op, right)))


@pytest.mark.parametrize("numbers", [(2, 3), (5, 5), (1, 2, 3), (5, 5, 2)])
def test_expressions_have_one_form_exactly_if_steps_lead_from_one_to_the_other(numbers: tuple[int, ...]) -> None:
    trees = {tree for order in set(permutations(numbers)) for tree in shapes(order)}
    leader = {tree: tree for tree in trees}

    def first(tree: Tree) -> Tree:
        while leader[tree] != tree:
            leader[tree] = tree = leader[leader[tree]]
        return tree

    for tree in trees:
        for made in map(once_signed, one_step(tree)):
            leader[first(made)] = first(tree)
    pairs = {(form(tree), first(tree)) for tree in trees}
    assert len(pairs) == len({form for form, _ in pairs}) == len({found for _, found in pairs})


numbers = st.integers(0, 12)
trees: st.SearchStrategy[Tree] = st.recursive(
    numbers,
    lambda inner: st.one_of(st.tuples(inner, st.sampled_from("+-*/"), inner), st.tuples(st.sampled_from("+-"), inner)),
    max_leaves=7,
)


@given(trees, st.randoms(use_true_random=False))
def test_any_number_of_steps_leaves_form_numbers_and_value(tree: Tree, random: Random) -> None:
    before = form(tree)
    for _ in range(12):
        made = list(one_step(tree))
        if not made:
            break
        tree = random.choice(made)
    assert form(tree) == before
    assert normal_form(parse(before)) == before

    def leaves(text: str) -> list[int]:
        return sorted(x for x in parse(text) if isinstance(x, int))

    assert leaves(before) == leaves(written(tree))
    assert value(before) == value(written(tree))


def value(text: str) -> Fraction | None:
    try:
        return Fraction(*exact(parse(text, python=True)))
    except ZeroDivisionError:
        return None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("44 + 19 + 35", "35+(19+44)"),
        ("2 * (3 - 4)", "-(4-3)*2"),
        ("8 / (2 / 3)", "3*8/2"),
        ("1 - (2 - 3)", "3+1-2"),
        ("(5 - 5) * 2", "(-5 + 5) * 2"),
        ("1 + (5 - 5) * 2", "1 - 2 * (5 - 5)"),
        ("2**(3*4)", "2**(4*3)"),
    ],
)
def test_what_votes_alike(one: str, other: str) -> None:
    assert len({normal_form(parse(text, python=True)) for text in (one, other)}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 * 1", "2 / 1"),
        ("2 * (3 + 4)", "2 * 3 + 2 * 4"),
        ("1 + 5", "2 + 4"),
        ("0 + 0 * 3", "0 * 3 - 0"),
        ("2**3", "3**2"),
        ("7 // 2", "7 / 2"),
    ],
)
def test_what_votes_apart(one: str, other: str) -> None:
    assert len({normal_form(parse(text, python=True)) for text in (one, other)}) == 2


@pytest.mark.parametrize("scorer", [countdown, countdown_published])
def test_a_verdict_has_an_expression_exactly_if_it_has_a_ballot(scorer: Scorer) -> None:
    payload = {"numbers": [44, 19, 35], "target": "98"}
    for answer, expected in [
        ("35 + (44 + 19)", "19+35+44"),
        ("(19 - 35) * 44", "-(35-19)*44"),
        ("44 + 19", None),
        ("44 / (19 - 35", None),
        ("", None),
    ]:
        score = scorer(payload, f"<answer>{answer}</answer>")
        assert score.expression == expected
        assert (score.ballot is None) == (expected is None)


def test_a_long_expression_takes_no_long_time() -> None:
    text = "-(" * 90 + "+".join(map(str, range(400))) + ")" * 90
    assert normal_form(parse(text)).count("+") == 399
    nested = "1-(" * 90 + "2" + ")" * 90
    assert normal_form(parse(nested)) == "+".join(["1"] * 45 + ["2"]) + "-1" * 45
