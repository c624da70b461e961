r"""MATH: the last box is compared with the gold answer in another process, whatever stands in the box."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esprobe.errors import UserError
from esprobe.tasks.killable import StoppedError
from esprobe.tasks.math import task as task_module
from esprobe.tasks.math.task import LIBRARY, MAX_DEPTH, Math, math
from esprobe.tasks.records import load_problems
from tests.conftest import lacking

REASONS = {"no_answer", "not_a_formula", "wrong_value", "correct", "timeout"}


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if find_spec("math_verify") is None:
        lacking("math-verify, which the extra dev brings")


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\frac{1}{2}", "0.5"),
        (r"\frac{1}{2}", r"\frac12"),
        (r"\frac{1}{2}", r"\dfrac{2}{4}"),
        (r"2\sqrt{3}", r"\sqrt{12}"),
        ("x^2+1", "1 + x^2"),
        (r"(1, 2)", r"\left( 1, 2 \right)"),
        (r"\{1, 2\}", r"\{2, 1\}"),
        ("12", r"12 \text{ cm}"),
        (r"\pi", r"\pi"),
        ("[0, 1)", r"\left[0, 1\right)"),
    ],
)
def test_equal_formulas_are_equal_however_they_are_written(gold: str, answer: str) -> None:
    assert math({"answer": gold}, rf"so \boxed{{{answer}}}").correct
    assert math({"answer": gold}, rf"so \boxed{{{gold}}} or \boxed{{-3}}").reason == "wrong_value"


def test_equal_formulas_are_one_ballot() -> None:
    ballots = [math({"answer": "7"}, rf"\boxed{{{answer}}}").ballot for answer in ("0.5", r"\frac{1}{2}", "1/2", r"\frac24")]
    assert ballots == ["1/2"] * 4


@pytest.mark.parametrize(
    "answer",
    [
        "__import__('os').system('touch written')",
        r"\text{__import__('os')}",
        "(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1),
        "{" * 400 + "}" * 400,
        "9" * 2000,
        "\x00",
        "\ud800",
        r"\frac{1}{0}",
        r"\begin{pmatrix}" * 50,
        r"\input{/etc/passwd}",
        "x" * 900,
    ],
    ids=lambda answer: answer[:12].encode(errors="replace").decode(),
)
def test_a_strangers_formula_is_wrong_and_nothing_worse(answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    verdict = math({"answer": "1/2"}, rf"\boxed{{{answer}}}")
    assert not verdict.correct
    assert verdict.reason in REASONS
    assert not list(tmp_path.iterdir())


def test_a_comparison_that_takes_too_long_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    call = LIBRARY.call
    monkeypatch.setattr(LIBRARY, "call", lambda *arguments: call(*arguments, limit_s=0.3))
    verdict = math({"answer": "2"}, r"\boxed{9^{9^{9^9}}}")
    assert (verdict.correct, verdict.reason, verdict.ballot) == (False, "timeout", None)
    assert math({"answer": "2"}, r"\boxed{\frac{4}{2}}").correct


def test_no_box_is_no_answer_and_the_same_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def counted(*arguments: Any) -> Any:
        asked.append(arguments)
        raise StoppedError

    monkeypatch.setattr(LIBRARY, "call", counted)
    task_module._compared.cache_clear()
    assert math({"answer": "2"}, "it is 2").reason == math({"answer": "2"}, r"\boxed{ }").reason == "no_answer"
    for text in (r"\boxed{3}", r"again \boxed{ 3 }"):
        assert math({"answer": "2"}, text).reason == "timeout"
    assert len(asked) == 1
    task_module._compared.cache_clear()


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(["\\frac", "{", "}", "1", "x", "^", "\\sqrt", "(", ")", ",", "\\text{", "=", "-"]) | st.text(max_size=3)
    )
)
def test_any_box_gets_a_verdict(pieces: list[str]) -> None:
    verdict = math({"answer": "1/2"}, rf"\boxed{{{''.join(pieces)[:60]}}}")
    assert verdict.reason in REASONS
    assert verdict.correct == (verdict.reason == "correct")


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        ({"problem": "?", "answer": "2", "solution": "no"}, "2"),
        ({"problem": "?", "solution": r"so \boxed{1} or \boxed{\frac{1}{2}}."}, r"\frac{1}{2}"),
        ({"question": "?", "answer": " x "}, "x"),
        ({"problem": "?", "answer": 204}, "204"),
        ({"problem": "?", "answer": 0.5}, "0.5"),
    ],
)
def test_the_gold_answer_is_given_or_boxed(record: dict[str, Any], answer: str) -> None:
    problem = Math().problem(record)
    assert problem.payload == {"problem": "?", "answer": answer}
    assert Math().problem(problem.payload) == problem


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"problem": "?"}, 'there is no "answer" or "solution"; the record has problem'),
        ({"problem": "?", "answer": True}, '"answer" must be a text'),
        ({"problem": "?", "answer": 10**5000}, '"answer" must be a text'),
        ({"problem": "?", "solution": "two"}, "the gold answer must be"),
        ({"problem": "?", "answer": "2" * 2000}, "the gold answer must be"),
        ({"answer": "2"}, 'there is no "problem" or "question"'),
        ("x", "must be an object"),
    ],
)
def test_a_record_that_is_no_problem_is_refused(record: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Math().problem(record)


def test_without_a_file_it_says_what_to_give() -> None:
    with pytest.raises(UserError, match="--data FILE"):
        load_problems(Math(), None)


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIBRARY, "package", "no_such_package")
    with pytest.raises(UserError, match=r"pip install 'esprobe\[math\]'"):
        Math()
