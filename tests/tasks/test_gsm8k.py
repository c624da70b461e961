r"""The rule of number answers: which wrapper counts, which contents are numbers, and what a stranger's text may cost."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.errors import UserError
from esprobe.tasks.gsm8k.scorers import MAX_ANSWER, gsm8k, gsm8k_lenient, rational
from esprobe.tasks.gsm8k.task import Gsm8k
from esprobe.tasks.prompts import prompt_text
from esprobe.tasks.records import load_problems

# What a wrapper may hold, and the number that it is by hand; None where it is none.
CONTENTS: dict[str, str | None] = {
    "18": "18",
    " 18 ": "18",
    "18.": "18",
    "18.0": "18",
    "18.50": "37/2",
    "018": "18",
    "+18": "18",
    "-18": "-18",
    "$18": "18",
    "-$18": "-18",
    "$18.00.": "18",
    r"\$18": "18",
    "18%": "18",
    r"18\%": "18",
    "18 dollars": "18",
    "18 dollars.": "18",
    "18kg": "18",
    "18 Äpfel": "18",
    r"18\text{ apples}": "18",
    r"18 \mathrm{km}": "18",
    "1,800": "1800",
    "1,800,000 people": "1800000",
    "1{,}800": "1800",
    r"1\,800": "1800",
    "1 800": "1800",
    "36/2": "18",
    "1/3": "1/3",
    "-1/3": "-1/3",
    ".5": "1/2",
    "18/0": None,
    "18 or 19": None,
    "18 dollars per hour": None,
    "18, 19": None,
    "1,8": None,
    "18,0000": None,
    "x = 18": None,
    "18 = 18": None,
    "9 + 9": None,
    "9*2": None,
    "1e3": None,
    "0x12": None,
    "eighteen": None,
    "€18": None,
    "18^2": None,
    r"\frac{36}{2}": None,
    "١٨": None,
    "--18": None,
    "18.5.2": None,
    "nan": None,
    "(18)": None,
}
WRAPPERS = [
    r"So it is \boxed{%s}.",
    r"\boxed {%s} dollars in all",
    r"First \boxed{7}, and then \boxed{%s}",
    r"#### 7 apples" + "\n" + r"\boxed{%s}",
    "<answer>%s</answer>",
    "<answer>7</answer> no, <answer>\n%s\n</answer>",
    r"<answer>\boxed{%s}</answer>",
    "9 + 9 = 18\n#### %s",
    "#### %s\nThat is all, 7 of them.",
    "<answer>#### %s</answer>",
]


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=range(len(WRAPPERS)))
@pytest.mark.parametrize(("content", "number"), CONTENTS.items(), ids=map(repr, CONTENTS))
def test_what_a_wrapper_holds_is_a_number_or_is_none(wrapper: str, content: str, number: str | None) -> None:
    text = wrapper % content
    right, wrong = {"answer": number or "18"}, {"answer": "5"}
    for scorer in (gsm8k, gsm8k_lenient):
        verdict = scorer(right, text)
        assert (verdict.reason, verdict.ballot) == (("correct", number) if number else ("not_a_number", None))
        assert verdict.answer == content.strip()
        assert verdict.reward == float(verdict.correct) == float(number is not None)
        assert scorer(wrong, text).reason == ("wrong_value" if number else "not_a_number")


@pytest.mark.parametrize(
    ("text", "reason", "number"),
    [
        ("", "no_answer", None),
        ("It costs 18 dollars.", "no_answer", "18"),
        ("3 apples and 15 pears make 18.", "no_answer", "18"),
        ("from 3-18", "no_answer", "18"),
        ("3 - 18", "no_answer", "18"),
        ("it is -18", "no_answer", "-18"),
        ("(-18)", "no_answer", "-18"),
        ("-$18", "no_answer", "-18"),
        ("it cost $1,800.50, he says", "no_answer", "3601/2"),
        ("1,800,", "no_answer", "1800"),
        ("1, 2, 18", "no_answer", "18"),
        ("1,2,18", "no_answer", "18"),
        ("on 1/2 of them", "no_answer", "1/2"),
        ("no number here", "no_answer", None),
        (r"\boxed{18", "no_answer", "18"),
        ("boxed{18}", "no_answer", "18"),
        ("<answer>18", "no_answer", "18"),
        ("18</answer>", "no_answer", "18"),
        ("### 18", "no_answer", "18"),
        (r"\boxed{} 18", "no_answer", None),
        ("<answer> </answer> 18", "no_answer", None),
        ("####\n18", "no_answer", None),
        (r"\boxed{7\}18", "no_answer", "18"),
        ("18 / 0", "no_answer", "0"),
        ("18/0", "no_answer", None),
    ],
)
def test_without_a_wrapper_only_the_lenient_rule_takes_the_last_number(text: str, reason: str, number: str | None) -> None:
    assert gsm8k({"answer": "18"}, text).reason == reason
    verdict = gsm8k_lenient({"answer": number or "18"}, text)
    assert verdict.ballot == number
    assert verdict.correct == (number is not None)


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{" * 100_000,
        "{" * 1_000_000,
        r"\boxed{" * 100_000 + "}" * 100_000,
        "\\boxed" + " " * 1_000_000,
        "\\" * 1_000_000,
        "<answer>" * 100_000 + "</answer>",
        "<answer>" + "</answer>" * 100_000,
        "#" * 1_000_000,
        "1," * 500_000,
        "111," * 300_000 + "x",
        "1/" * 500_000,
        "-" * 1_000_000 + "1",
        "." * 1_000_000,
        " 1.1" * 250_000,
        r"\boxed{" + "9" * 1_000_000 + "}",
        r"\boxed{" + "1," * 499 + "1}",
        r"\boxed{" + "9" * MAX_ANSWER + "/7}",
        r"\boxed{" + " " * 999 + "}",
        "#### " + "\\text{" * 160,
    ],
    ids=lambda text: text[:12],
)
def test_a_megabyte_of_anything_is_wrong_and_nothing_worse(text: str) -> None:
    for scorer in (gsm8k, gsm8k_lenient):
        assert not scorer({"answer": "18"}, text).correct


pieces = st.sampled_from(
    [*WRAPPERS[0].split("%s"), "<answer>", "</answer>", "#### ", "\n", "{", "}", "\\", "$", ",", "1", "18", "."]
)


@given(st.lists(pieces | st.text(max_size=5), max_size=20).map("".join))
def test_any_text_gets_a_verdict_that_its_ballot_decides(text: str) -> None:
    for scorer in (gsm8k, gsm8k_lenient):
        verdict = scorer({"answer": "18"}, text)
        assert verdict.correct == (verdict.reason == "correct") == (verdict.ballot == "18")
        assert (verdict.ballot is None) == (verdict.reason in ("no_answer", "not_a_number"))
    strict, lenient = gsm8k({"answer": "18"}, text), gsm8k_lenient({"answer": "18"}, text)
    assert strict == lenient or strict.reason == "no_answer"


@given(st.fractions(), st.booleans())
def test_every_rational_reads_as_itself(value: Fraction, grouped: bool) -> None:
    written = f"{value.numerator:,}" + (f"/{value.denominator}" if value.denominator > 1 else "")
    assert rational(written if grouped else str(value)) == value


# ---- problems


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("He has 9 + 9 = <<9+9=18>>18 apples.\n#### 18", "18"),
        ("#### 1,800", "1800"),
        ("18", "18"),
        (18, "18"),
        (18.5, "37/2"),
        ("#### 7\n#### 18", "18"),
    ],
)
def test_the_gold_number_is_what_follows_the_hashes(answer: object, gold: str) -> None:
    problem = Gsm8k().problem({"question": "How many?", "answer": answer, "id": 3})
    assert problem.payload == {"question": "How many?", "answer": gold}
    assert Gsm8k().problem(problem.payload) == problem


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"question": "?"}, 'there is no "answer"; the record has question'),
        ({"prompt": "?", "answer": "1"}, 'there is no "question"; the record has prompt, answer'),
        ({"question": 3, "answer": "1"}, '"question" must be a text'),
        ({"question": " ", "answer": "1"}, '"question" must be a text'),
        ({"question": "\ud800", "answer": "1"}, "half a surrogate pair"),
        ({"question": "?", "answer": "many"}, '"answer" must be a number'),
        ({"question": "?", "answer": None}, '"answer" must be a number'),
        ({"question": "?", "answer": True}, '"answer" must be a number'),
        ({"question": "?", "answer": 10**5000}, '"answer" must be a number'),
        ({"question": "?", "answer": float("nan")}, '"answer" must be a number'),
        ([1], "must be an object"),
    ],
)
def test_a_record_that_is_no_problem_is_refused(record: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Gsm8k().problem(record)


def test_without_a_file_it_says_where_the_problems_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--data FILE; .*grade-school-math"):
        load_problems(Gsm8k(), None)
    file = tmp_path / "test.jsonl"
    file.write_text("\n".join(json.dumps({"question": f"{i}?", "answer": f"so\n#### {i}"}) for i in range(9)))
    assert [p.payload["answer"] for p in load_problems(Gsm8k(), file, 2, 3)] == ["2", "3", "4"]


def test_the_prompt_asks_for_a_box() -> None:
    payload = {"question": "How many?", "answer": "18"}
    assert prompt_text(Gsm8k(), payload, "plain", None).startswith("How many?\n\n")
    assert "\\boxed{}" in prompt_text(Gsm8k(), payload, "plain", None)
