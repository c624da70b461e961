"""Asks reasoning-gym for entries and scores. Loaded only in a process that can be killed; knows its data sets and its values.

The library evaluates answers as Python in places; here they are expressions at most (see `guarded`).
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import reasoning_gym
import sympy
import sympy.parsing.sympy_parser
from reasoning_gym.factory import DATASETS

from esprobe.tasks import guarded
from esprobe.tasks.base import short

LEAST_SIZE = 1000  # a few data sets make other entries where they are of another size, so most requests ask for one size
NONSENSE = "?!"  # an answer to no problem
_TUPLE, _MAPPING = "()", "{}"  # keys of what JSON lacks: a tuple, a mapping with keys that are no text


def _guard() -> None:
    """In place of `eval` and sympy's parser, wherever the library or sympy itself would give them an answer."""
    original = sympy.parsing.sympy_parser.parse_expr
    formulas = guarded.formulas_only(original)
    ours = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "reasoning_gym"]
    for module in [*ours, sympy, sympy.parsing, sympy.parsing.sympy_parser]:
        if getattr(module, "parse_expr", None) is original:
            module.parse_expr = formulas
    for module in ours:
        module.__dict__["eval"] = guarded.evaluate


_guard()


def make(name: str, options: Mapping[str, Any], seed: int, count: int) -> dict[str, Any]:
    """`entries`: the first `count` of the data set, frozen; or `refused`: why there are none."""
    made = _created(name, options, seed, max(LEAST_SIZE, count))
    return {"refused": made} if isinstance(made, str) else {"entries": [freeze(made[i]) for i in range(count)]}


def refusal(name: str, options: Mapping[str, Any]) -> str | None:
    """Why answers to the data set under these options cannot be scored; None where they can."""
    made = _created(name, options, 0, LEAST_SIZE)
    return made if isinstance(made, str) else None


def _created(name: str, options: Mapping[str, Any], seed: int, size: int) -> Any:
    """The data set, or as a text why there is none."""
    if name not in DATASETS:
        if close := get_close_matches(name, sorted(DATASETS)):
            return f"there is no such data set; did you mean {' or '.join(close)}?"
        return f"there is no such data set; there are {', '.join(sorted(DATASETS))}"
    known = _defaults(name)
    for key in options:
        if key not in known:
            return f"it has no option {key}; options: {', '.join(known.values())}"
    try:
        made = reasoning_gym.create_dataset(name, seed=seed, size=size, **options)
    except (AssertionError, TypeError, ValueError) as error:  # what its own checks of options raise
        says = str(error) or type(error).__name__
        return says if isinstance(error, AssertionError) else f"{says}; options: {', '.join(known.values())}"
    if _takes_anything(made):
        return "the library calls any answer to it right, so there is nothing to measure"
    return made


def _defaults(name: str) -> dict[str, str]:
    """Option → `option=default` in short, by name; the option alone where it has no default."""
    found = {}
    for field in sorted(fields(DATASETS[name][1]), key=lambda field: field.name):
        if field.name not in ("seed", "size"):
            default = field.default if field.default_factory is MISSING else field.default_factory()
            found[field.name] = field.name if default is MISSING else f"{field.name}={short(default)}"
    return found


def _takes_anything(made: Any) -> bool:
    try:
        return bool(made.score_answer(NONSENSE, made[0]) == 1)
    except Exception:  # a score that cannot be had is none of 1, whatever the library raises
        return False


def score(name: str, options: str, entry: Mapping[str, Any], answer: str) -> float:
    """What the data set made with these options (a JSON object) says of an answer to a frozen entry."""
    return float(_data_set(name, options).score_answer(answer, thaw(entry)))


@lru_cache(maxsize=64)
def _data_set(name: str, options: str) -> Any:
    return reasoning_gym.create_dataset(name, seed=0, size=1, **json.loads(options))


def freeze(value: Any) -> Any:
    """The value as plain JSON from which `thaw` makes it again. Raises TypeError for what is neither."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, str):  # numpy has a text of its own
        return str(value)
    if isinstance(value, list):
        return [freeze(item) for item in value]
    if isinstance(value, tuple):
        return {_TUPLE: [freeze(item) for item in value]}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and value.keys() not in ({_TUPLE}, {_MAPPING}):
            return {str(key): freeze(item) for key, item in value.items()}
        return {_MAPPING: [[freeze(key), freeze(item)] for key, item in value.items()]}
    raise TypeError(f"{type(value).__name__} cannot be kept")


def thaw(value: Any) -> Any:
    """What was frozen."""
    if isinstance(value, list):
        return [thaw(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_TUPLE}:
        return tuple(thaw(item) for item in value[_TUPLE])
    if value.keys() == {_MAPPING}:
        return {thaw(key): thaw(item) for key, item in value[_MAPPING]}
    return {key: thaw(item) for key, item in value.items()}
