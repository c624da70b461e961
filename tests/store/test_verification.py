"""Nothing that another database says about its rows is trusted: what follows from a row is computed again, and must agree."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.arms import Arm
from esprobe.errors import UserError
from esprobe.methods import MethodName
from esprobe.store.merge import merge
from esprobe.store.store import Store
from tests.helpers.contents import everything, rows
from tests.store.conftest import PROBLEMS, SIX, TASK, Altered

ELSEWHERE = """
UPDATE draw SET number = number + 100; UPDATE rollout SET draw = draw + 100; UPDATE score SET draw = draw + 100;
UPDATE run SET uuid = 'another';
"""  # other draws of the same arms, which nothing here contradicts

FALSE = {
    "another T under the digest": (f"{ELSEWHERE} UPDATE arm SET value = 1.2 WHERE method = 'temperature'", "arm 2 has digest"),
    "another method under the digest": ("UPDATE arm SET method = 'temperature', value = 0.5 WHERE id = 1", "arm 1 has digest"),
    "another model under the digest": ("UPDATE model SET digest = 'better'", "arm 1 has digest"),
    "another setting under the digest": ("UPDATE arm SET settings = json_set(settings, '$.seed', 43)", "arm 1 has digest"),
    "another task than its settings": ("UPDATE arm SET task = 'gsm8k' WHERE id = 2", "arm 2 has task gsm8k"),
    "another problem under the digest": (
        """UPDATE problem SET payload = '{"numbers": [1, 2], "target": "3"}' WHERE id = 2""",
        "problem 2 has digest",
    ),
    "a verdict that the text does not have": (
        "DELETE FROM draw WHERE arm_id > 2; DELETE FROM rollout WHERE arm_id > 2; DELETE FROM score WHERE arm_id > 2;"
        f"{ELSEWHERE} UPDATE rollout SET text = '<answer>1</answer>' WHERE id = 1",
        "has correct True by countdown, which says False",
    ),
    "an answer that the text does not hold": ("UPDATE score SET answer = '6 * 7' WHERE problem_id = 2", "has answer 6 * 7"),
    "another reward": ("UPDATE score SET reward = 0.9 WHERE problem_id = 3", "has reward 0.9"),
    "another ballot": ("UPDATE score SET ballot = '42'", "has ballot 42"),
    "another expression": ("UPDATE score SET expression = '6*7'", "has expression 6*7"),
    "another reason": ("UPDATE score SET reason = 'wrong_value' WHERE draw = 1", "has reason wrong_value"),
    "another chance": ("UPDATE problem SET chance = 0.99 WHERE id = 1", "problem 1 has chance 0.99"),
    "impossible where it is not": ("UPDATE problem SET solvable = 0 WHERE id = 1", "problem 1 has solvable False"),
    "impossible where that is unknown": ("UPDATE problem SET solvable = 0, solution = NULL WHERE id = 4", "solvable False"),
    "a solution that is none": ("UPDATE problem SET solution = '1+1' WHERE id IN (2, 4)", "problem 2 has solution 1+1"),
    "an unproven solution that is none": ("UPDATE problem SET solution = '1+1' WHERE id = 4", "problem 4 has solvable True"),
    "other outcomes": ("UPDATE problem SET outcomes = 5 WHERE id = 1", "problem 1 has outcomes 5"),
    "another stratum": ("UPDATE problem SET stratum = 'hard' WHERE id = 1", "problem 1 has stratum hard"),
    "another model for a draw": (f"{ELSEWHERE}", "draw 100 of arm 3 has seed"),
    "no model for a draw": ("UPDATE draw SET seed = NULL WHERE arm_id = 4 AND number = 1", "draw 1 of arm 4 has seed None"),
    "a seed where the model is the base": ("UPDATE draw SET seed = 5 WHERE arm_id = 2", "draw 0 of arm 2 has a seed"),
    "another σ for a draw": ("UPDATE draw SET sigma = 0.5 WHERE arm_id = 3 AND number = 1", "draw 1 of arm 3 has σ 0.5"),
    "rounding of no weights": (
        """UPDATE arm SET rounding = '{"groups": {"norms": {"weights": 1, "sigma": "1", "unchanged": 0}}}' WHERE id = 3""",
        "table arm has 1 row that esprobe would not have written",
    ),
    "rounding that is a list": (
        "UPDATE arm SET rounding = '[1]' WHERE id = 3",
        "table arm has 1 row that esprobe would not have written",
    ),
    "a key twice": (
        "UPDATE problem SET payload = replace(payload, '{', '{\"target\": \"1\", ')",
        "table problem has 4 rows that esprobe would not have written",
    ),
}


@pytest.mark.parametrize(("sql", "says"), FALSE.values(), ids=FALSE)
def test_what_does_not_follow_from_its_row_is_refused_before_anything_is_written(
    made: Path, other: Altered, tmp_path: Path, sql: str, says: str
) -> None:
    for ours in (tmp_path / "empty.db", Path(shutil.copy(made, tmp_path / "same.db"))):
        Store(ours).close()
        before = everything(ours)
        if "problem SET solvable = 0, solution = NULL WHERE id = 4" in sql and ours.name == "same.db":
            continue  # it is unknown here too, so nothing is disputed and nothing is merged
        with pytest.raises(UserError) as refused:
            merge(other(sql), ours)
        assert says in str(refused.value)
        assert str(refused.value).endswith("; nothing was merged")
        assert "\n" not in str(refused.value)
        assert everything(ours) == before


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE problem SET chance = 0.99 WHERE id = 1", "problem 1 has chance 0.99"),
        ("UPDATE problem SET payload = json_set(payload, '$.target', '7') WHERE id = 1", "problem 1 has digest"),
        ("UPDATE arm SET value = 1.25 WHERE method = 'temperature'", "is not what its digest says"),
        ("UPDATE score SET ballot = '42' WHERE ballot IS NOT '42'", "`esprobe score --all` corrects it"),
    ],
)
def test_a_false_row_of_ours_is_found_by_merging_a_true_one(made: Path, other: Altered, sql: str, says: str) -> None:
    ours = other(sql)
    before = everything(ours)
    with pytest.raises(UserError) as refused:
        merge(made, ours)
    assert says in str(refused.value)
    assert everything(ours) == before


@pytest.mark.parametrize(
    ("method", "value", "settings", "says"),
    [
        ("perturbation", 0.6, {"task": "countdown"}, "of method perturbation with the settings of another"),
        ("temperature", 0.6, {"task": "countdown", "noise": "iid"}, "of method temperature with the settings of another"),
        ("temperature", None, {"task": "countdown"}, "of method temperature without a value"),
        ("greedy", 0.6, {"task": "countdown"}, "greedy with the value 0.6"),
        ("temperature", None, {"task": "countdown", "imported": "run"}, None),
        ("perturbation", 0.6, {"task": "countdown", "noise": "iid"}, None),
        (
            "perturbation",
            None,
            {"task": "countdown", "noise": "iid", "seed": 1, "sigmas": [0.1]},
            "with the σ .0.1. to draw from",
        ),
        ("perturbation", 0.1, {"task": "countdown", "noise": "iid", "seed": 1, "sigmas": [0.1, 0.2]}, "to draw from"),
        ("temperature", 0.6, {"task": "countdown", "sigmas": [0.1, 0.2]}, "to draw from"),
        ("perturbation", 0.6, {"task": "countdown", "noise": "iid", "samples": 2}, "samples or a temperature alone"),
        ("perturbation", 0.6, {"task": "countdown", "noise": "iid", "samples": 0, "temperature": 0.5}, "with 0 samples"),
        ("temperature", 0.6, {"task": "countdown", "samples": 2, "temperature": 0.5}, "with 2 samples at temperature 0.5"),
    ],
)
def test_an_arm_that_no_command_makes_is_refused(
    other: Altered,
    tmp_path: Path,
    method: MethodName,
    value: float | None,
    settings: dict[str, object],
    says: str | None,
) -> None:
    source = other("SELECT 1")
    with closing(sqlite3.connect(source)) as connection:
        model = connection.execute("SELECT digest FROM model WHERE id = (SELECT model_id FROM arm WHERE id = 2)").fetchone()[0]
        digest = Arm("", model, method, value, settings).digest
        changed = (digest, method, value, json.dumps(settings))
        connection.execute("UPDATE arm SET digest = ?, method = ?, value = ?, settings = ? WHERE id = 2", changed)
        connection.commit()
    if says is None:
        merge(source, tmp_path / "ours.db")
        return
    with pytest.raises(UserError, match=says):
        merge(source, tmp_path / "ours.db")


def test_another_prompt_under_one_arm_is_refused(made: Path, other: Altered, tmp_path: Path) -> None:
    ours = Path(shutil.copy(made, tmp_path / "ours.db"))
    before = everything(ours)
    with pytest.raises(UserError, match="the prompt of problem 3 in arm 2 differs"):
        merge(other("UPDATE prompt SET digest = 'changed' WHERE arm_id = 2 AND problem_id = 3"), ours)
    assert everything(ours) == before


def test_facts_are_proven_again_and_not_copied(other: Altered, tmp_path: Path) -> None:
    older = other("UPDATE problem SET outcomes = NULL, chance = 0.99, solution = '1+1', stratum = NULL WHERE id < 4")
    facts = "SELECT solvable, solution, chance, stratum, outcomes FROM problem ORDER BY digest"
    merge(older, tmp_path / "ours.db")
    right = [tuple(vars(TASK.facts(problem)).values()) for problem in sorted([*PROBLEMS, SIX], key=lambda p: p.digest)]
    assert rows(tmp_path / "ours.db", facts) == right
    assert (True, "1+2+3+4+5+6", None, "6 numbers", None) in right
