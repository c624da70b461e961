"""A small parser for arithmetic, and two ways to evaluate what it parsed: exactly, or as Python would.

Knows expressions only: no answers, targets or rewards. It never recurses and never calls `eval`, so hostile
input costs time linear in its length and nothing else.
"""

import re
from fractions import Fraction

_TOKEN = re.compile(r"\d+|\*\*|//|[-+*/()]")
_PLAIN_TOKEN = re.compile(r"\d+|[-+*/()]")

# How tightly an operator binds, as in Python's grammar; "u-" and "u+" are the signs.
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "u-": 3, "u+": 3, "**": 4, "(": 0}

MAX_DEPTH = 100  # nested parentheses
PYTHON_DEPTH = 200  # where CPython's parser gives up
PYTHON_SIGNS = 2000  # signs in one expression; CPython's compiler gives up at some 3,000 stacked ones
MAX_POWER_BITS = 1 << 18  # the largest whole number a power may make (Python would go on until memory ends)

Postfix = list[int | str]  # operands and operators, each operator after its operands
Number = int | float | complex


class NotAnExpressionError(ValueError):
    """The text is not one arithmetic expression."""


class UnboundedError(ArithmeticError):
    """Evaluating it as Python does would take unreasonable time or memory."""


def parse(text: str, *, python: bool = False) -> Postfix:
    """Turns an expression of digits, + - * / ( ) and spaces into postfix order (Dijkstra's shunting-yard).

    With `python` the language is Python's: also `**` and `//`, sign upon sign, and 00 for 0. Without it an operand
    has at most one sign and a number no leading zero. Raises NotAnExpressionError.
    """
    output: Postfix = []
    stack: list[str] = []
    depth = signs = 0
    signed = False  # the token before was a sign
    operand_next = True
    for token in (_TOKEN if python else _PLAIN_TOKEN).findall(text):
        if operand_next and token.isdigit():
            output.append(_whole(token, python))
            operand_next = signed = False
        elif operand_next and token == "(":
            depth += 1
            if depth > (PYTHON_DEPTH if python else MAX_DEPTH):
                raise NotAnExpressionError("nested too deeply")
            stack.append(token)
            signed = False
        elif operand_next and token in "+-" and (python or not signed):
            signs += 1
            if signs > PYTHON_SIGNS:
                raise NotAnExpressionError("a tower of signs")
            stack.append("u" + token)
            signed = True
        elif not operand_next and token == ")":
            _close(stack, output)
            depth -= 1
        elif not operand_next and token in _BINDS and token != "(":
            _settle(stack, output, token)
            stack.append(token)
            operand_next = True
        else:
            raise NotAnExpressionError(f"unexpected {token}")
    if operand_next or depth:
        raise NotAnExpressionError("unfinished")
    output.extend(reversed(stack))
    return output


def _whole(digits: str, python: bool) -> int:
    if digits[0] == "0" and len(digits) > 1 and not (python and digits.strip("0") == ""):
        raise NotAnExpressionError("leading zero")
    return int(digits)


def _close(stack: list[str], output: Postfix) -> None:
    """At a `)`: everything since its `(` is applied."""
    while stack and stack[-1] != "(":
        output.append(stack.pop())
    if not stack:
        raise NotAnExpressionError("unbalanced )")
    stack.pop()


def _settle(stack: list[str], output: Postfix, operator: str) -> None:
    """Before an operator: what binds more tightly is applied; of equals the left one, but powers from right to left."""
    binds = _BINDS[operator]
    while stack and (_BINDS[stack[-1]] > binds or (_BINDS[stack[-1]] == binds and operator != "**")):
        output.append(stack.pop())


def exact(postfix: Postfix) -> tuple[int, int]:
    """The exact value as (numerator, denominator), not in lowest terms, denominator ≠ 0.

    Raises ZeroDivisionError, and UnboundedError for a power that is too large to compute or not rational.
    """
    stack: list[tuple[int, int]] = []
    for item in postfix:
        if isinstance(item, int):
            stack.append((item, 1))
            continue
        c, d = stack.pop()
        if item == "u-":
            stack.append((-c, d))
            continue
        if item == "u+":
            stack.append((c, d))
            continue
        a, b = stack.pop()
        if item == "+":
            stack.append((a * d + c * b, b * d))
        elif item == "-":
            stack.append((a * d - c * b, b * d))
        elif item == "*":
            stack.append((a * c, b * d))
        elif item == "**":
            stack.append(_power(Fraction(a, b), Fraction(c, d)))
        else:
            if c == 0:
                raise ZeroDivisionError
            stack.append((a * d // (b * c), 1) if item == "//" else (a * d, b * c))
    return stack.pop()


def _power(base: Fraction, exponent: Fraction) -> tuple[int, int]:
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if exponent.denominator != 1 or (abs(base) not in (0, 1) and abs(exponent.numerator) * bits > MAX_POWER_BITS):
        raise UnboundedError
    return (base**exponent.numerator).as_integer_ratio()  # 0 to a negative power raises ZeroDivisionError


def as_python(postfix: Postfix) -> Number:
    """The value Python's `eval` gives, types and rounding included.

    Raises what Python raises (ZeroDivisionError, OverflowError, TypeError), and UnboundedError for a power too large to compute.
    """
    stack: list[Number] = []
    for item in postfix:
        if isinstance(item, int):
            stack.append(item)
            continue
        y = stack.pop()
        if item == "u-":
            stack.append(-y)
            continue
        if item == "u+":
            stack.append(y)
            continue
        x = stack.pop()
        if item == "+":
            stack.append(x + y)
        elif item == "-":
            stack.append(x - y)
        elif item == "*":
            stack.append(x * y)
        elif item == "/":
            stack.append(x / y)
        elif item == "//":
            stack.append(x // y)  # type: ignore[operator]  # complex // raises TypeError, as in Python
        else:
            if isinstance(x, int) and isinstance(y, int) and abs(x) > 1 and y * x.bit_length() > MAX_POWER_BITS:
                raise UnboundedError
            stack.append(x**y)
    return stack.pop()
