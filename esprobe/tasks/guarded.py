"""Stands in for `eval` and sympy's parser where a library gives them a stranger's text: expressions, but no programs.

Knows Python's syntax. Used only in processes that can be killed: a short expression can take any time and memory.
"""

import ast
import re
from collections.abc import Callable
from typing import Any

_PLAIN = (
    *(ast.Expression, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Load),
    *(ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop),
)
_NAMES = frozenset(
    (
        *("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "acot", "sinh", "cosh", "tanh"),
        *("asinh", "acosh", "atanh", "exp", "log", "ln", "sqrt", "cbrt", "Abs", "pi", "oo"),
    )
)
_WORD = re.compile(r"[^\W\d]\w*")
_FORMULA = re.compile(r"[A-Za-z0-9\s.+\-*/^()!,]*")
_ATTRIBUTE = re.compile(r"\.\s*[^\W\d]")
_TOWER = re.compile(r"(?:\*\*|\^)[\s(+-]*(?:\d{4,}|[\s\d().]*(?:\*\*|\^))|!\s*!|\d{4,}\s*!")  # numbers beyond all memory
MAX_FORMULA = 2000  # characters


def evaluate(text: str, *_: object) -> Any:
    """`eval` of literals and operators other than powers; it takes no names. Raises ValueError for any other text."""
    tree = ast.parse(text.strip(), mode="eval")
    if not all(isinstance(node, _PLAIN) and not isinstance(node, ast.Pow) for node in ast.walk(tree)):
        raise ValueError("not an expression of literals")
    return eval(compile(tree, "<text>", "eval"), {"__builtins__": {}})


def formulas_only(parse: Callable[..., Any]) -> Callable[..., Any]:
    """A `parse_expr` like sympy's, which evaluates its text as Python, for formulas alone:
    numbers, operators, letters and known functions.

    Raises ValueError for any other text, before sympy sees it.
    """

    def parsed(text: str, *arguments: Any, **named: Any) -> Any:
        words = _WORD.findall(text)
        known = all(len(word) == 1 or word in _NAMES for word in words)
        if len(text) > MAX_FORMULA or not known or not _FORMULA.fullmatch(text):
            raise ValueError("not a formula")
        if _ATTRIBUTE.search(text) or _TOWER.search(text):
            raise ValueError("not a formula")
        return parse(text, *arguments, **named)

    return parsed
