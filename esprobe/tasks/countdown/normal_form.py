"""One text for all ways to write the same expression: what two rollouts must share to vote alike by expression.

Knows parsed expressions; no value, target or problem. As the parser, it never recurses.

Two expressions have one normal form if and only if one becomes the other by these steps, in any part of it:

- white space, and parentheses that change nothing;
- x + y = y + x, (x + y) + z = x + (y + z), x * y = y * x, (x * y) * z = x * (y * z);
- x - y = x + (-y), (x * y) / z = x * (y / z), (x / y) / z = x / (y * z), x / (y / z) = (x * z) / y;
- signs: +x = x, -(-x) = x, -(x + y) = -x - y, (-x) * y = -(x * y), (-x) / y = x / (-y) = -(x / y).

Nothing is calculated and nothing multiplied out: 2 * 1, 2 / 1 and 2 differ, and so do 2 * (3 + 4) and 2 * 3 + 2 * 4.
`**` and `//` do not commute; their operands are in normal form.
"""

from esprobe.tasks.countdown.arithmetic import Postfix

Factor = tuple[bool, str]  # (whether it divides, its text)
Term = tuple[int, tuple[Factor, ...]]  # sign, factors; sign 0: the term is its own opposite, as (5 - 5) * 2
Sum = list[Term]


def normal_form(postfix: Postfix) -> str:
    """The expression in normal form, itself an expression of the same numbers and the same value."""
    stack: list[Sum] = []
    for item in postfix:
        if isinstance(item, int):
            stack.append([(1, ((False, str(item)),))])
            continue
        right = stack.pop()
        if item == "u+":
            stack.append(right)
        elif item == "u-":
            stack.append(_opposite(right))
        elif item == "+":
            stack[-1].extend(right)
        elif item == "-":
            stack[-1].extend(_opposite(right))
        elif item in "*/":
            stack.append([_product(stack.pop(), right, divide=item == "/")])
        else:
            stack.append([(1, ((False, f"(({_text(stack.pop())}){item}({_text(right)}))"),))])
    return _text(stack.pop())


def _opposite(terms: Sum) -> Sum:
    return [(-sign, factors) for sign, factors in terms]


def _product(left: Sum, right: Sum, divide: bool) -> Term:
    sign, factors = _as_term(left)
    other, more = _as_term(right)
    return sign * other, (*factors, *((divides != divide, text) for divides, text in more))


def _as_term(terms: Sum) -> Term:
    """The sum as a single term. Of a sum and its opposite one is the factor, so that 2 * (3 - 4) is -2 * (4 - 3)."""
    if len(terms) == 1:
        return terms[0]
    this, opposite = _text(terms), _text(_opposite(terms))
    return (this > opposite) - (this < opposite), ((False, f"({max(this, opposite)})"),)


def _text(terms: Sum) -> str:
    """The terms in order, those that are added first."""
    written = sorted((sign < 0, _term_text(factors)) for sign, factors in terms)
    return "".join(("-" if minus else "+") + text for minus, text in written).removeprefix("+")


def _term_text(factors: tuple[Factor, ...]) -> str:
    """The factors in order, divisors last; there is always one that does not divide."""
    return "".join(("/" if divides else "*") + text for divides, text in sorted(factors))[1:]
