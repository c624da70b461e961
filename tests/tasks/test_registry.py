"""Tasks are found by name and imported when asked for; scorers belong to their tasks."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from esprobe.errors import UserError
from esprobe.tasks.registry import DEFAULT, find_tasks, known_scorers, known_tasks, scorer_named, task_named


def test_every_task_has_its_name_and_a_default_scorer_of_that_name() -> None:
    extras = {"math": "math_verify", "reasoning-gym/gcd": "reasoning_gym", "reasoning-gym/countdown": "reasoning_gym"}
    for name in ("countdown", "gsm8k", *(name for name, package in extras.items() if find_spec(package))):
        task = task_named(name)
        assert task.name == task.default_scorer == name
        for scorer in task.scorers:
            found, function = scorer_named(scorer)
            assert (found.name, function) == (name, found.scorers[scorer])
    assert known_tasks()[0] == DEFAULT


@pytest.mark.parametrize(
    "name", ["", "Countdown", "gsm", "reasoning-gym", "gsm8k/x", "countdown/", "reasoning-gym/../x", "os:system"]
)
def test_an_unknown_task_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UserError):
        task_named(name)
    assert find_tasks([name, DEFAULT]).keys() == {DEFAULT}


@pytest.mark.parametrize("name", ["", "gsm8k-", "gsm8k-published", "countdown-lenient", "reasoning-gym", "reasoning-gym/gcd-x"])
def test_an_unknown_scorer_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UserError):
        scorer_named(name)
    assert known_scorers()[:4] == ["countdown", "countdown-published", "gsm8k", "gsm8k-lenient"]


def test_options_are_for_tasks_that_have_them() -> None:
    with pytest.raises(UserError, match="countdown has no options, so leave out --task-option numbers"):
        task_named("countdown", {"numbers": "3"})


def test_a_task_is_imported_when_it_is_asked_for() -> None:
    code = (
        "import sys; from esprobe.tasks.registry import task_named; assert not any('countdown' in m for m in sys.modules); "
        "task_named('gsm8k'); assert not any('countdown' in m or 'sympy' in m or 'reasoning' in m for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
