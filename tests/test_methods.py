"""One row per method, and nothing else in the package knows a method by its string."""

import ast
from pathlib import Path

import pytest

import esprobe
from esprobe import methods
from esprobe.arms import Arm

PACKAGE = Path(esprobe.__file__).parent


def names_in(code: str) -> set[str]:
    """The methods that a module's string literals name, alone or quoted in SQL."""
    texts = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return {name for name in methods.NAMES for text in texts if text == name or f"'{name}'" in text or f'"{name}"' in text}


def test_only_the_table_of_methods_names_them() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): names
        for path in PACKAGE.rglob("*.py")
        if path.is_relative_to(PACKAGE / "migrations") is False and (names := names_in(path.read_text()))
    }
    assert found == {"methods.py": set(methods.NAMES)}


def test_a_method_is_found_by_its_name_and_an_unknown_one_shares_no_draws() -> None:
    assert [methods.named(name) for name in methods.NAMES] == list(methods.IN_ORDER)
    unknown = methods.named("beam")
    assert (unknown.name, unknown.symbol, unknown.shares_draws) == ("beam", "beam", False)
    assert sorted(["beam", *reversed(methods.NAMES)], key=methods.place) == [*methods.NAMES, "beam"]
    assert Arm("m", "d", "perturbation", 0.1).shares_draws


@pytest.mark.parametrize("method", methods.COMPARED)
def test_every_default_can_be_sampled_and_zero_cannot(method: methods.Method) -> None:
    assert [method.refusal(value) for value in method.defaults] == [None] * len(method.defaults)
    assert "greedy baseline" in str(method.refusal(0.0))
    assert method.refusal(float("nan")) is not None
