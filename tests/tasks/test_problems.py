"""Problems are read from what users have, refused clearly when broken, and made reproducibly."""

import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esprobe.bundled.problems import TRAINED_ON, TRAINING_SEED
from esprobe.errors import UserError
from esprobe.tasks.countdown.generate import MAX_VALUE, generate, key
from esprobe.tasks.countdown.scorers import countdown
from esprobe.tasks.countdown.task import Countdown
from esprobe.tasks.prompts import prompt_text
from esprobe.tasks.records import load_problems


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_json_jsonl_and_nums_give_the_same_problems(tmp_path: Path) -> None:
    records = [{"numbers": [44, 19, 35], "target": "98"}, {"numbers": [98, 47, 47, 52], "target": "27.4", "solution": "x"}]
    as_json = write(tmp_path / "a.json", json.dumps(records))
    as_lines = write(tmp_path / "b.jsonl", "\ufeff" + "\n\n".join(json.dumps(r) for r in records))
    as_nums = write(tmp_path / "c.json", json.dumps([{"nums": r["numbers"], "target": float(r["target"])} for r in records[1:]]))
    first, second = (load_problems(Countdown(), path) for path in (as_json, as_lines))
    assert [p.digest for p in first] == [p.digest for p in second]
    assert load_problems(Countdown(), as_nums)[0].digest == first[1].digest
    assert load_problems(Countdown(), as_json, offset=1)[0].digest == first[1].digest


def test_a_problem_that_stands_twice_is_taken_once(tmp_path: Path) -> None:
    line = '{"numbers": [1, 2], "target": 3}\n'
    assert len(load_problems(Countdown(), write(tmp_path / "a.jsonl", line * 3))) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no records"),
        ("[{]", "not valid JSON"),
        ('{"numbers": [1, 2], "target": 3}\n{"numbers"', "line 2: not valid JSON"),
        ('[{"numbers": [1, 2]}]', 'record 0: there is no "target"'),
        ('[{"numbers": [1, 2.5], "target": 3}]', '"numbers" must be'),
        ('[{"numbers": [1, true], "target": 3}]', '"numbers" must be'),
        ('[{"numbers": [-1, 2], "target": 3}]', '"numbers" must be'),
        ('[{"numbers": [], "target": 3}]', '"numbers" must be'),
        ('[{"numbers": [1, 2], "target": "nan"}]', '"target" must be'),
        ('[{"numbers": [1, 2], "target": "1e999"}]', '"target" must be'),
        ('[{"numbers": [1, 2], "target": true}]', '"target" must be'),
        ("[1, 2]", "a problem must be an object"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        load_problems(Countdown(), write(tmp_path / "p.json", text))
    assert "p.json" in str(caught.value)


def test_an_empty_selection_is_refused() -> None:
    with pytest.raises(UserError, match=r"beyond the .* lower it"):
        load_problems(Countdown(), None, offset=128)


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ('98, 98.0, 9.8e1, "98", "98.0", "098", " 98 ", "98.", "9.8e+1"', "98"),
        ('0.00001, 1e-05, "0.00001", "1e-5", "00.000010"', "0.00001"),
        ('0, -0, -0.0, "-0", "0.00"', "0"),
        ('27.4, "27.40", 2.74e1', "27.4"),
        ('-5, "-5.0", -5.0', "-5"),
        ('0.5, ".5", "+.50", 5e-1', "0.5"),
        ('3.3333333333333335, "3.3333333333333335"', "3.3333333333333335"),
        ('100, 1e2, "1E2"', "100"),
    ],
)
def test_however_a_target_is_written_it_is_one_problem(tmp_path: Path, written: str, target: str) -> None:
    lines = [f'{{"numbers": [1, 2], "target": {one}}}' for one in written.split(", ")]
    (problem,) = load_problems(Countdown(), write(tmp_path / "p.jsonl", "\n".join(lines)))
    assert problem.payload == {"numbers": [1, 2], "target": target}


def test_whole_numbers_may_be_written_as_floats() -> None:
    task = Countdown()
    assert task.problem({"nums": [44.0, 19, 35.0], "target": 98}) == task.problem({"numbers": [44, 19, 35], "target": "98"})


@pytest.mark.parametrize(
    "target", ["1e16", "1e-21", "1e999", "1e-999", 1e300, 5e-324, "0x10", "1_000", "1,5", "٣", "+-5", "--5", "", " ", "5 5"]
)
def test_what_is_no_decimal_of_a_usual_size_is_refused(target: object) -> None:
    with pytest.raises(UserError, match='"target" must be'):
        Countdown().problem({"numbers": [1, 2], "target": target})


def test_a_target_that_an_older_esprobe_kept_as_it_was_written_is_scored() -> None:
    for target in ("98.0", "098", "98.000"):
        assert countdown({"numbers": [44, 19, 35], "target": target}, "<answer>44 + 19 + 35</answer>").correct


@given(st.integers(0, 2**32))
def test_generated_problems_are_solvable_and_reproducible(seed: int) -> None:
    made = list(islice(generate(seed, decimal_share=0.3), 6))
    assert made == list(islice(generate(seed, decimal_share=0.3), 6))
    assert [len(m.numbers) for m in made] == [3, 4, 3, 4, 3, 4]
    for m in made:
        assert countdown({"numbers": list(m.numbers), "target": m.target}, f"<answer>{m.solution}</answer>").correct
        assert 0 <= float(m.target) <= MAX_VALUE
        assert len(m.steps) == len(m.numbers) - 1


def test_some_generated_targets_are_decimals_and_excluded_ones_do_not_come() -> None:
    made = list(islice(generate(1, decimal_share=0.1), 200))
    assert 2 <= sum("." in m.target for m in made) <= 40
    excluded = {m.key for m in made[:100]}
    again = list(islice(generate(1, exclude=excluded, decimal_share=0.1), 100))
    assert not excluded & {m.key for m in again}


def test_the_bundled_problems_are_128_solvable_ones_disjoint_from_the_published(published: Path) -> None:
    task = Countdown()
    problems = task.bundled()
    assert len({p.digest for p in problems}) == 128
    assert sum(len(p.payload["numbers"]) == 3 for p in problems) == 64
    assert any("." in p.payload["target"] for p in problems)
    assert all(task.facts(p).solvable for p in problems)
    keys = {key(p.payload["numbers"], p.payload["target"]) for p in problems}
    assert not keys & {key(p.payload["numbers"], p.payload["target"]) for p in load_problems(task, published)}


def test_2000_problems_to_train_on_are_disjoint_from_all_others(published: Path) -> None:
    task = Countdown()
    problems = task.training(None)
    assert len({p.digest for p in problems}) == 2000
    assert task.training(5) == problems[:5]
    keys = {key(p.payload["numbers"], p.payload["target"]) for p in problems}
    assert not keys & {key(p.payload["numbers"], p.payload["target"]) for p in (*task.own(None), *load_problems(task, published))}
    assert not keys & {made.key for made in islice(generate(TRAINING_SEED), TRAINED_ON)}  # those of the bundled models


def test_beyond_five_numbers_only_a_correct_given_solution_proves_anything() -> None:
    task = Countdown()
    record = {"numbers": [1, 2, 3, 4, 5, 6], "target": "21"}
    unknown = task.facts(task.problem(record))
    assert (unknown.solvable, unknown.solution, unknown.chance) == (None, None, None)
    assert task.facts(task.problem(record | {"solution": "1+2+3+4+5+6"})).solvable is True
    assert task.facts(task.problem(record | {"solution": "1+2+3+4+5"})).solvable is None


class Chat:
    """A tokenizer's chat template, as far as a prompt needs it."""

    chat_template = "yes"

    def apply_chat_template(self, messages: list[dict[str, str]], **_: object) -> str:
        return "".join(f"<{m['role']}>{m['content']}" for m in messages) + "<assistant>"


def test_the_prompt_is_the_published_one(published: Path) -> None:
    task = Countdown()
    record = json.loads(published.read_text())[0]
    problem = task.problem(record)
    plain = prompt_text(task, problem.payload, "plain", None)
    assert plain == record["context"].replace("[44 19 35]", "[44, 19, 35]")
    chat = prompt_text(task, problem.payload, "chat", Chat())
    assert chat.startswith("<system>You are a helpful assistant.")
    assert chat.endswith("<assistant>Let me solve this step by step.\n<think>")
    Chat.chat_template = ""
    with pytest.raises(UserError, match="--prompt plain"):
        prompt_text(task, problem.payload, "chat", Chat())
