"""The Countdown scorers keep the rule, against exact arithmetic and against Python's own eval."""

import json
import re
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from esprobe.tasks.base import Scorer
from esprobe.tasks.countdown.scorers import countdown, countdown_published, format_reward
from tests.helpers.published import published_rule


def payload(numbers: list[int], target: str) -> dict[str, object]:
    return {"numbers": numbers, "target": target}


def reason(answer: str, numbers: list[int] | None = None, target: str = "98") -> str:
    return countdown(payload(numbers or [44, 19, 35], target), f"so</think>\n<answer>{answer}</answer>").reason


# An expression as text with its exact value (None: division by zero) and the numbers it uses.
Made = tuple[str, Fraction | None, list[int]]


def combine(parts: tuple[Made, str, Made, str]) -> Made:
    (left, a, used), op, (right, b, more), space = parts
    value = None
    if a is not None and b is not None and not (op == "/" and b == 0):
        value = {"+": a + b, "-": a - b, "*": a * b, "/": a / (b or 1)}[op]
    return f"({left}){space}{op}{space}({right})", value, used + more


def signed(parts: tuple[str, Made]) -> Made:
    sign, (text, value, used) = parts
    return f"{sign}({text})", (-value if sign == "-" and value is not None else value), used


numbers = st.integers(0, 99).map(lambda n: (str(n), Fraction(n), [n]))
expressions = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner, st.sampled_from(["", " "])).map(combine),
        st.tuples(st.sampled_from("+-"), inner).map(signed),
    ),
    max_leaves=6,
)


@given(expressions, st.sampled_from([0, 1, -3]))
def test_the_default_scorer_agrees_with_exact_arithmetic(made: Made, off: int) -> None:
    text, value, used = made
    target = Fraction(0) if value is None else value + off
    assume(target.denominator in (1, 2, 4, 5, 8, 10))  # targets are decimals
    decimal = str(target.numerator) if target.denominator == 1 else str(float(target))
    assume("e" not in decimal)
    verdict = countdown(payload(used, decimal), f"<answer> {text} </answer>")
    expected = "division_by_zero" if value is None else "correct" if off == 0 else "wrong_value"
    assert (verdict.reason, verdict.correct) == (expected, expected == "correct")


@given(expressions)
def test_precedence_without_parentheses_is_that_of_arithmetic(made: Made) -> None:
    flat = made[0].replace("(", "").replace(")", "")
    assume(not re.search(r"[-+*/] *[-+]|^[-+]", flat))
    try:
        value = eval(re.sub(r"\d+", lambda m: f"Fraction({m[0]})", flat), {"Fraction": Fraction})
    except ZeroDivisionError:
        assert reason(flat, made[2], "1") == "division_by_zero"
        return
    assume(value.denominator == 1 and abs(value) < 10**15)
    assert reason(flat, made[2], str(value)) == "correct"


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # of eval, where texts look like calls
@settings(max_examples=1500)
@given(st.text(alphabet="012+-*/() ", max_size=12), st.sampled_from(["0", "1", "2", "-1", "0.5", "4"]))
@example("2**-1", "0.5")
@example("-2**2", "-4")
@example("2**1**2", "2")
@example("--2", "2")
@example("00+1", "1")
@example("01+1", "2")
@example("(0-1)**(1/2)", "0")
@example("1//2*2", "0")
@example(" 1 + 1 ", "2")
def test_the_published_scorer_agrees_with_the_published_rule(answer: str, target: str) -> None:
    assume(not ("**" in answer and re.search(r"\d\d", answer)))  # the rule itself would hang
    problem = payload([int(n) for n in re.findall(r"\d+", answer)], target)
    text = f"<think></think><answer>{answer}</answer>"
    assert countdown_published(problem, text).correct == published_rule(problem, text)


@given(st.lists(st.sampled_from(["<answer>", "</answer>", "1+2", " ", "\n", "x", "</think>", "<think>"]), max_size=8))
def test_the_published_scorer_finds_the_same_answer(parts: list[str]) -> None:
    text = "".join(parts)
    problem = payload([1, 2], "3")
    assert countdown_published(problem, text).correct == published_rule(problem, text)


@given(st.lists(st.sampled_from(["<answer>", "</answer>", "1", "\n", "<think>", "</think>", "</think>\n<answer>"]), max_size=7))
def test_the_format_reward_is_the_published_one(parts: list[str]) -> None:
    text = "".join(parts)
    response = "<think>" + text
    if re.match(r"^<think>.*?</think>\n<answer>.*?</answer>$", response, re.DOTALL):
        expected = 1.0
    else:
        think = re.search(r"<think>.*?</think>", response, re.DOTALL)
        answer = re.search(r"<answer>.*?</answer>", response, re.DOTALL)
        expected = (0.1 if think else 0.0) + (0.5 if answer else 0.0)
    assert format_reward(text) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("44 + 19 + 35", "correct"),
        ("\n (44+19)+35 \t", "correct"),
        ("+44 - -19 + 35", "correct"),
        ("-(-44 - 19) + 35", "correct"),
        ("44 + 19 - 35", "wrong_value"),
        ("44 + 19", "wrong_numbers"),
        ("44 + 19 + 35 + 35", "wrong_numbers"),
        ("44 19 35", "not_an_expression"),
        ("44 + 19 + 35 +", "not_an_expression"),
        ("(44 + 19 + 35", "not_an_expression"),
        ("44 + 19) + 35", "not_an_expression"),
        ("44 + 019 + 35", "not_an_expression"),
        ("44 ** 19 / 35", "not_an_expression"),
        ("44 // 19 + 35", "not_an_expression"),
        ("44 + --19 + 35", "not_an_expression"),
        ("44 + 19 + 35 = 98", "bad_characters"),
        ("44 + 19 +\n35", "correct"),
        ("44 + 19 + ３5", "bad_characters"),
        ("35 / (44 - 44 + 19 - 19)", "wrong_numbers"),
        ("", "no_answer"),
        ("  ", "no_answer"),
    ],
)
def test_each_reason_has_its_answers(answer: str, expected: str) -> None:
    assert reason(answer) == expected


WHITE = [chr(i) for i in range(0x110000) if chr(i).isspace()]


@pytest.mark.parametrize("space", WHITE, ids=lambda space: f"U+{ord(space):04X}")
def test_white_space_of_any_kind_around_and_between_is_white_space(space: str) -> None:
    assert reason(f"{space}44{space}+{space * 2}19 +{space}({space}35{space}){space}") == "correct"
    assert reason(f"44 + 1{space}9 + 35") == "wrong_numbers"  # it parts numbers
    assert reason(space) == "no_answer"


def test_what_only_looks_like_white_space_is_a_bad_character() -> None:
    assert reason("44 + 19 +\u200b35") == "bad_characters"
    assert reason("44 + 19 +\u206035") == "bad_characters"


def test_limits_are_those_of_the_contract() -> None:
    deep = "(" * 100 + "44" + ")" * 100 + "+19+35"
    assert reason(deep) == "correct"
    assert reason("(" + deep.replace("+19", ")+19")) == "not_an_expression"
    assert reason("44+19+35".ljust(1000) + "\n") == "correct"
    assert reason("44+19" + " " * (1000 - len("44+19+35")) + "+35") == "correct"
    assert reason("44+19" + " " * (1001 - len("44+19+35")) + "+35") == "not_an_expression"


@pytest.mark.parametrize(
    ("answer", "ballot"),
    [
        ("44 + 19 + 35", "98"),
        ("35 +\t(19 + 44)", "98"),
        ("44 - 19 * 35", "-621"),
        ("44 / 19 + 35", "709/19"),
        ("(19 - 44) / 35", "-5/7"),
        ("44 + 19", None),
        ("44 + 19 + 35 = 98", None),
        ("44 ** 19 / 35", None),
        ("44 + 19 + 35)", None),
        ("", None),
    ],
)
def test_the_ballot_is_the_exact_value_of_an_expression_that_uses_the_numbers_rightly(answer: str, ballot: str | None) -> None:
    assert countdown(payload([44, 19, 35], "98"), f"<answer>{answer}</answer>").ballot == ballot


@given(expressions, expressions)
def test_two_answers_share_a_ballot_exactly_if_their_values_are_equal(one: Made, other: Made) -> None:
    ballots = [countdown(payload(m[2], "7"), f"<answer>{m[0]}</answer>").ballot for m in (one, other)]
    assert ballots == [None if m[1] is None else str(m[1]) for m in (one, other)]
    assert [countdown_published(payload(m[2], "7"), f"<answer>{m[0]}</answer>").ballot for m in (one, other)] == ballots


@pytest.mark.parametrize(
    ("answer", "ballot"),
    [("2 ** 3", "8"), ("3 // 2", "1"), ("-3 // 2", "-2"), ("2 ** -3", "1/8"), ("--2 + 3", "5"), ("3 ** (1 / 2)", None)],
)
def test_the_published_rule_has_a_ballot_for_every_rational_value(answer: str, ballot: str | None) -> None:
    numbers = [int(n) for n in re.findall(r"\d+", answer)]
    assert countdown_published(payload(numbers, "8"), f"<answer>{answer}</answer>").ballot == ballot


@pytest.mark.parametrize("scorer", [countdown, countdown_published])
@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("</think>\n<answer>44+19+35</answer>", 1.0),
        ("<answer>44+19+35</answer>", 1.05 / 1.1),
        ("</think>\n<answer>44+19-35</answer>", 0.1 / 1.1),
        ("</think>", 0.01 / 1.1),
        ("", 0.0),
    ],
)
def test_the_reward_is_the_verdict_and_a_tenth_of_the_form(scorer: Scorer, text: str, reward: float) -> None:
    assert scorer(payload([44, 19, 35], "98"), text).reward == pytest.approx(reward, abs=1e-15)


def test_division_by_zero_is_a_reason_of_its_own() -> None:
    assert reason("5 / (3 - 3)", [5, 3, 3], "0") == "division_by_zero"


def test_the_last_closed_answer_counts() -> None:
    problem = payload([1, 2], "3")
    assert countdown(problem, "<answer>1-2</answer> no: <answer>1+2</answer>").correct
    assert not countdown(problem, "<answer>1+2</answer> no: <answer>1-2</answer>").correct
    assert countdown(problem, "<answer>1+2</answer> and <answer> 1-").correct
    assert countdown(problem, "no tags: 1+2").reason == "no_answer"
    assert countdown(problem, "</answer>1+2<answer>").reason == "no_answer"


def test_a_decimal_target_is_met_within_the_tolerance() -> None:
    assert reason("(98 / (47 - 52)) + 47", [98, 47, 47, 52], "27.4") == "correct"
    assert reason("10 / 3", [10, 3], "3.3333333333333335") == "correct"
    assert reason("10 / 3", [10, 3], "3.3333") == "wrong_value"


HOSTILE = {
    "a tower of powers": "44**19**35",
    "100,000 parentheses": "(" * 100_000 + "44+19+35" + ")" * 100_000,
    "100,000 open parentheses": "(" * 100_000,
    "megabytes of digits": "9" * 5_000_000,
    "megabytes of signs": "44+" + "-" * 2_000_000 + "19+35",
    "megabytes of numbers": "44+19+35+" * 300_000,
    "a long number": "44+19+" + "0" * 100_000 + "35",
    "code": "__import__('os').system('true')",
    "a huge power": "44**(19**35)",
    "many opening tags": "<answer>" * 100_000,
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("scorer", [countdown, countdown_published])
def test_hostile_answers_score_false_at_once(scorer: object, answer: str) -> None:
    text = f"<answer>{answer}</answer>"
    begun = time.process_time()
    verdict = scorer(payload([44, 19, 35], "98"), text)  # type: ignore[operator]
    assert not verdict.correct
    assert time.process_time() - begun < 60  # milliseconds of processor time, where the slow way takes hours
    assert verdict.answer is None or len(verdict.answer) <= 1000


@settings(max_examples=500)
@given(st.text(alphabet=st.sampled_from("0123456789+-*/() <>answer\n"), max_size=200))
def test_no_text_is_fatal(text: str) -> None:
    problem = payload([1, 2, 3], "6")
    reasons = {"no_answer", "bad_characters", "wrong_numbers", "not_an_expression", "division_by_zero", "wrong_value", "correct"}
    for scorer in (countdown, countdown_published):
        assert scorer(problem, f"<answer>{text}</answer>").reason in reasons


def test_of_the_published_solutions_exactly_the_right_ones_score_correct(published: Path) -> None:
    records = json.loads(published.read_text())
    solved = [r for r in records if r["solution"]]
    assert len(solved) == 2181
    for scorer in (countdown, countdown_published):
        verdicts = [scorer(payload(r["numbers"], r["target"]), f"<answer>{r['solution']}</answer>") for r in solved]
        assert sum(v.correct for v in verdicts) == 2166
        assert {v.reason for v in verdicts if not v.correct} == {"wrong_numbers"}
        decimal = [v.correct for v, r in zip(verdicts, solved, strict=True) if "." in r["target"]]
        assert sum(decimal) > 20
