"""reasoning-gym: every data set's entries are kept as they were made, and its own answers are right by way of our scorer."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from esprobe.errors import UserError
from esprobe.tasks.countdown.scorers import countdown
from esprobe.tasks.prompts import prompt_text
from esprobe.tasks.reasoning_gym.task import COUNT, LIBRARY, ReasoningGym
from esprobe.tasks.records import load_problems
from tests.conftest import lacking

ANSWERS = ("possible_answer", "example_correct_answer", "example_answer")  # of problems with many, in their metadata
WITHOUT = {"boxnet", "rush_hour"}  # entries that tell no answer
REFUSED = {"composite": "Must specify at least one dataset", "game_of_life_halting": "calls any answer to it right"}


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if find_spec("reasoning_gym") is None:
        lacking("reasoning-gym, which the extra dev brings")


def task(name: str, **options: str) -> ReasoningGym:
    return ReasoningGym(name, options)


def names() -> list[str]:
    refused: str = LIBRARY.call("make", "?", {}, 0, 1)["refused"]
    return refused.partition("there are ")[2].split(", ")


def own_answer(payload: Any) -> str:
    found = payload["answer"]
    if found is None:
        found = next(payload["metadata"][key] for key in ANSWERS if key in payload["metadata"])
    if isinstance(found, dict):  # a mapping by whole numbers, frozen
        found = json.dumps(dict(found["{}"]))
    return str(found)


def test_every_data_sets_own_answer_is_right() -> None:
    found = names()
    assert len(found) > 100
    for name in found:
        one = task(name)
        if name in REFUSED:
            with pytest.raises(UserError, match=REFUSED[name]):
                one.own(1)
            continue
        (problem,) = one.own(1)
        assert one.problem(json.loads(problem.canonical)).digest == problem.digest
        if name not in WITHOUT:
            verdict = one.scorers[one.name](problem.payload, f"so <answer>{own_answer(problem.payload)}</answer>")
            assert (verdict.correct, verdict.reason) == (True, "correct"), name
        assert not one.scorers[one.name](problem.payload, "<answer>?!</answer>").correct, name


@pytest.mark.parametrize("name", ["letter_counting", "knight_swap", "word_ladder", "polynomial_multiplication", "acre", "arc_1d"])
def test_problems_are_a_function_of_options_and_seed(name: str) -> None:
    first = [p.digest for p in task(name).own(3)]
    LIBRARY.close()  # another process makes the same, and more begin with fewer
    assert [p.digest for p in task(name).own(5)][:3] == first
    assert [p.digest for p in task(name, seed="1").own(3)] != first


def test_problems_to_train_on_are_none_of_its_own() -> None:
    one = task("letter_counting")
    found = [p.digest for p in one.training(40)]
    assert len(set(found)) == len(found) > 30
    assert found == [p.digest for p in one.training(40)]
    assert not set(found) & {p.digest for p in one.own(None)}


def test_limit_says_how_many_and_the_default_is_128() -> None:
    assert len(load_problems(task("gcd"), None)) <= COUNT == 128
    assert len(load_problems(task("letter_counting"), None, 2, 5)) == 5
    assert load_problems(task("gcd"), None, 2, 1) == load_problems(task("gcd"), None, 0, 3)[2:]


def test_options_reach_the_data_set_and_the_payload() -> None:
    one = task("chain_sum", min_terms="7", max_terms="7", allow_negation="true")
    (problem,) = one.own(1)
    assert problem.payload["options"] == {"min_terms": 7, "max_terms": 7, "allow_negation": True}
    assert problem.payload["metadata"]["num_terms"] == 7
    assert one.facts(problem).stratum == "allow_negation=True, max_terms=7, min_terms=7"
    assert one.facts(problem).chance is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"words": "3"}, "it has no option words; options: max_words=15, min_words=5"),
        ({"min_words": "0"}, "min_words"),
        ({"min_words": "many"}, "options: max_words=15, min_words=5"),
        ({"size": "3"}, "--limit says how many"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"style": "loud"}, "think or direct"),
    ],
)
def test_options_that_it_has_not_are_refused(options: dict[str, str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        ReasoningGym("letter_counting", options).own(1)


def test_an_unknown_data_set_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"reasoning-gym/zzzz: there is no such data set; there are .*letter_counting"):
        task("zzzz").own(1)
    with pytest.raises(UserError, match=r"there is no such data set; did you mean letter_counting.*\?$"):
        task("leter_counting").own(1)


ENTRY = {"question": "?", "answer": "3", "metadata": {}}


@pytest.mark.parametrize(
    ("name", "record", "says"),
    [
        ("letters", ENTRY, "there is no such data set"),
        ("composite", ENTRY, "Must specify at least one dataset"),
        ("game_of_life_halting", ENTRY, "the library calls any answer to it right"),
        ("letter_counting", ENTRY | {"options": {"words": 3}}, "it has no option words"),
    ],
)
def test_an_entry_whose_answers_cannot_be_scored_is_refused(name: str, record: Any, says: str) -> None:
    with pytest.raises(UserError, match=f"reasoning-gym/{name}: {says}"):
        task(name).problem(record)
    assert task("letter_counting").problem(ENTRY).payload == ENTRY | {"options": {}}


def test_its_countdown_problems_go_to_our_scorer_and_solver() -> None:
    one = task("countdown")
    (problem,) = one.own(1)
    numbers, target = problem.payload["metadata"]["numbers"], problem.payload["metadata"]["target"]
    text = f"<answer>{problem.payload['answer']}</answer>"
    assert one.scorers[one.name](problem.payload, text) == countdown({"numbers": numbers, "target": str(target)}, text)
    hostile = one.scorers[one.name](problem.payload, "<answer>__import__('os')</answer>")
    assert hostile.reason == "bad_characters"
    assert task("countdown", min_numbers="3", max_numbers="4").own(1)[0].payload["options"]
    small = task("countdown", min_numbers="3", max_numbers="4")
    assert small.facts(small.own(1)[0]).chance is not None


HOSTILE = [
    "__import__('os').system('touch written')",
    "open('written', 'w')",
    "[1] * 10 ** 11",
    "9**9**9**9",
    "10**100000000",
    "[" * 9000,
    "().__class__.__bases__[0].__subclasses__()",
    "exit()",
    "-" * 9000 + "1",
    "x**x**x**x",
    "(x + 1)**500",
    "\ud800",
    "\x00",
    "1" * 19_000,
    "nan",
]


@pytest.mark.parametrize(
    "name",
    [
        "spiral_matrix",
        "n_queens",
        "simple_integration",
        "polynomial_multiplication",
        "puzzle24",
        "complex_arithmetic",
        "number_sorting",
    ],
)
def test_a_strangers_answer_is_wrong_and_nothing_worse(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LIBRARY.close()  # so that it starts in the folder that is looked at
    monkeypatch.chdir(tmp_path)
    one = task(name)
    (problem,) = one.own(1)
    for answer in HOSTILE:
        verdict = one.scorers[one.name](problem.payload, f"<answer>{answer}</answer>")
        assert not verdict.correct, answer
        assert verdict.reason in {"wrong", "scorer_failed", "timeout"}
        assert 0 <= verdict.reward < 1
    assert not list(tmp_path.iterdir())


def test_what_no_tags_hold_or_only_close_and_what_is_too_long() -> None:
    one = task("letter_counting")
    (problem,) = one.own(1)
    score = one.scorers[one.name]
    answer = problem.payload["answer"]
    assert score(problem.payload, f"{answer}</answer>").correct
    assert score(problem.payload, f"<answer>7777</answer> no, <answer>\n{answer} </answer>").correct
    assert score(problem.payload, answer).reason == score(problem.payload, "<answer> </answer>").reason == "no_answer"
    assert score(problem.payload, f"<answer>{'1' * 30_000}</answer>").reason == "too_long"
    assert score(problem.payload, f"<answer>{answer}</answer>").ballot == answer


def test_a_style_is_a_prompt_of_its_own() -> None:
    payload = {"question": "How many?"}
    think, direct = task("gcd"), task("gcd", style="direct")
    assert think.prompt_digest() != direct.prompt_digest()
    assert prompt_text(direct, payload, "plain", None).endswith("How many?<answer>")
    assert prompt_text(think, payload, "plain", None).endswith("How many?")


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"question": "?", "answer": "1"}, 'there is no "metadata"'),
        ({"question": "?", "answer": 1, "metadata": {}}, '"answer" must be a text or null'),
        ({"question": "?", "answer": "1", "metadata": []}, "must be objects"),
        ({"question": "?", "answer": "1", "metadata": {}, "options": 3}, "must be objects"),
        ({"question": "?", "answer": "1", "metadata": {"x": float("nan")}}, "JSON cannot keep"),
        ({"question": "?", "answer": "1", "metadata": {"x": ["\ud800"]}}, "JSON cannot keep"),
        ({"answer": "1", "metadata": {}}, 'there is no "question"'),
        (3, "must be an object"),
    ],
)
def test_a_record_that_is_no_entry_is_refused(record: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        task("gcd").problem(record)


def test_the_library_is_loaded_in_its_own_process_only() -> None:
    code = (
        "import sys; from esprobe.tasks.registry import task_named; t = task_named('reasoning-gym/gcd'); p = t.own(1)[0]; "
        "t.scorers[t.name](p.payload, '<answer>1</answer>'); assert not {'reasoning_gym', 'sympy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIBRARY, "package", "no_such_package")
    with pytest.raises(UserError, match=r"pip install 'esprobe\[reasoning-gym\]'"):
        task("gcd")
