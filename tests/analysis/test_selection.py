"""What `report --select` reads: populations, models by their seed, what is compared with them, the problems of a train file."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.analysis.arms import Filter
from esprobe.analysis.reading import open_database
from esprobe.analysis.selection import Selection, selections
from esprobe.arms import Arm
from esprobe.errors import UserError
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Score
from esprobe.tasks.countdown.task import Countdown
from tests.helpers.made import make

PATTERN = ["++-+", "+-+-", "-+++", "+--+", "--+-", "++++"]  # of four models on six problems


def select(path: Path, *arms: int, ks: tuple[int, ...] = (), train: Path | None = None) -> list[Selection]:
    return selections(open_database(path), Filter("countdown", arms=arms), ks, train)


def population(path: Path) -> Path:
    verdicts = dict(enumerate(PATTERN))
    arms = [("greedy", None, dict.fromkeys(verdicts, "+")), ("temperature", 0.5, verdicts), ("temperature", 1.0, verdicts)]
    return make(path, [*arms, ("perturbation", 0.01, verdicts), ("perturbation", 0.02, verdicts)])


def test_each_perturbation_arm_is_a_population_and_several_named_ones_are_one(tmp_path: Path) -> None:
    path = population(tmp_path / "r.db")
    apart = select(path)
    assert [(one.arms[0].value, one.models, one.problems) for one in apart] == [(0.01, 4, 6), (0.02, 4, 6)]
    assert apart[0].greedy is not None
    assert [arm.value for arm in apart[0].temperatures] == [0.5, 1.0]
    (together,) = select(path, *(one.arms[0].arm_id for one in apart))
    assert (together.models, len(together.arms), together.sizes) == (8, 2, (1, 2, 4, 8))


def test_the_train_file_says_which_problems_models_are_chosen_on(tmp_path: Path) -> None:
    path = population(tmp_path / "r.db")
    train = tmp_path / "train.jsonl"
    records = [{"numbers": [i + 1, 40 + i, 7], "target": str(100 + i)} for i in (0, 2, 5)]
    train.write_text("\n".join(map(json.dumps, [*records, {"numbers": [1, 2], "target": "3"}])))
    one = select(path, 4, train=train)[0]
    assert one.train == 3
    assert one.on_train.tolist() == pytest.approx([2 / 3, 1, 2 / 3, 1])
    assert one.on_test.tolist() == pytest.approx([2 / 3, 0, 2 / 3, 1 / 3])
    at = one.selected.at
    assert at("best_train")[4].value == pytest.approx(1)
    assert at("best_test")[4].value == pytest.approx((0 + 1 / 3) / 2)  # of the two that are equally good on train
    assert at("best_test")[1].value == pytest.approx(5 / 12)


def test_models_of_several_arms_vote_together(tmp_path: Path) -> None:
    """Ballots are equal by what they say, though each arm meets them in another order: three right ones outvote two and one."""
    said = {True: "right", False: "wrong"}
    arms = [("perturbation", 0.01, dict.fromkeys(range(4), "--+")), ("perturbation", 0.02, dict.fromkeys(range(4), "+-+"))]
    path = make(tmp_path / "r.db", arms, voted=lambda draw, right: (said[right], said[right] if right else f"wrong {draw}"))
    (together,) = select(path, 1, 2, ks=(6,))
    at = together.selected.at
    assert at("vote_test_by_expression")[6].value == 1  # 3 right; wrong: 2 of draw 1, 1 of draw 0
    assert at("vote_random_by_expression")[6].value == 1
    assert together.votes_by_expression


def test_there_is_no_vote_by_expression_where_a_ballot_lacks_one(tmp_path: Path) -> None:
    path = make(
        tmp_path / "r.db", [("perturbation", 0.01, dict(enumerate(PATTERN)))], voted=lambda draw, right: (str(right), "e")
    )
    assert select(path)[0].votes_by_expression
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE score SET expression = NULL WHERE draw = 0 AND problem_id = 1")
    assert not select(path)[0].votes_by_expression


def save(path: Path, draws: list[tuple[int, int, str]], sigma: float = 0.01) -> Path:
    """An arm whose draws are (number, seed, verdicts by problem)."""
    task, store = Countdown(), Store(path)
    problems = [task.problem({"numbers": [i + 1, 40 + i, 7], "target": str(100 + i)}) for i in range(len(draws[0][2]))]
    store.add_problems([(problem, task.facts(problem)) for problem in problems])
    ids = store.problem_ids(problems)
    run_id = store.start_run("test", {}, {})
    arm_id = store.arm_id(Arm("m", "d", "perturbation", sigma, {}))
    for number, seed, verdicts in draws:
        rows = [
            RolloutRow(number, i, "", 9, "stop", Score(v == "+", "correct" if v == "+" else "wrong_value", v, v, float(v == "+")))
            for i, v in zip(ids, verdicts, strict=True)
        ]
        store.save(arm_id, run_id, "countdown", rows, {number: seed})
    store.close()
    return path


def test_draws_of_one_seed_are_samples_of_one_model(tmp_path: Path) -> None:
    draws = [(0, 7, "++--"), (1, 7, "+---"), (2, 8, "++++"), (3, 8, "++++"), (4, 9, "----"), (5, 9, "---+")]
    (one,) = select(save(tmp_path / "r.db", draws))
    assert (one.models, one.samples) == (3, 2)
    assert (one.on_train + one.on_test).tolist() == pytest.approx([2 * 3 / 8, 2, 2 / 8])


def test_what_cannot_be_chosen_among_is_said(tmp_path: Path) -> None:
    path = population(tmp_path / "r.db")
    with pytest.raises(UserError, match="arm 2 is a temperature arm"):
        select(path, 2)
    with pytest.raises(UserError, match="no arm 99"):
        select(path, 99)
    with pytest.raises(UserError, match="-k must be at most"):
        select(path, ks=(5,))
    other = tmp_path / "other.jsonl"
    other.write_text('{"numbers": [1, 2], "target": "3"}')
    with pytest.raises(UserError, match="has 0 of the 6 problems of arm 4"):
        select(path, 4, train=other)
    with pytest.raises(UserError, match="1 models on 4 problems"):
        select(save(tmp_path / "one.db", [(0, 7, "++--")]))
