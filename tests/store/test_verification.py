"""Nothing that another database says about its rows is trusted: what follows from a row is computed again, and must agree."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.arms import Arm, Update, recorded_seed, trained_digest
from esprobe.errors import UserError
from esprobe.methods import MethodName
from esprobe.store.merge import merge
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.countdown.task import Countdown
from tests.conftest import Run
from tests.helpers.errors import one_line_error

TASK = Countdown()
PROBLEMS = [TASK.problem({"numbers": [n, n + 1, 3], "target": str(2 * n + 4)}) for n in range(10, 13)]
SIX = TASK.problem({"numbers": [1, 2, 3, 4, 5, 6], "target": "21", "solution": "1+2+3+4+5+6"})  # too many to be enumerated
ARMS = [
    Arm("m", "d", "greedy", None, {"task": "countdown"}),
    Arm("m", "d", "temperature", 0.5, {"task": "countdown", "seed": 42}),
    Arm("m", "d", "perturbation", 0.01, {"task": "countdown", "seed": 42, "noise": "iid"}),
    Arm("m", "d", "perturbation", 0.01, {"task": "countdown", "seed": 42, "noise": "shared-seed"}),
]


def database(path: Path) -> Path:
    """Every arm with two draws of every problem, scored by both scorers, with prompts and prompt lengths."""
    store = Store(path)
    problems = [*PROBLEMS, SIX]
    store.add_problems([(problem, TASK.facts(problem)) for problem in problems])
    ids = store.problem_ids(problems)
    run = store.start_run("made by a test", {}, {})
    for arm in ARMS:
        arm_id = store.arm_id(arm)
        rows = []
        for draw in range(2):
            for problem, i in zip(problems, ids, strict=True):
                text = f"draw {draw}</think>\n<answer>{'+'.join(map(str, problem.payload['numbers']))}</answer>"
                rows.append(
                    RolloutRow(draw, i, text, 9, "stop", TASK.scorers["countdown"](problem.payload, text), prompt_tokens=30)
                )
        seeds = {draw: recorded_seed(arm.settings, draw) or 0 for draw in range(2)} if arm.method == "perturbation" else None
        store.save(arm_id, run, "countdown", rows, seeds)
        store.add_prompts(arm_id, dict.fromkeys(ids, f"{arm_id:032x}"))
    store.end_run(run, "done")
    store.close()
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return database(tmp_path_factory.mktemp("made") / "made.db")


@pytest.fixture
def other(made: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy that an SQL script has changed."""

    def altered(sql: str) -> Path:
        path = Path(shutil.copy(made, tmp_path / "other.db"))
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"PRAGMA foreign_keys = OFF; {sql}")
        return path

    return altered


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def everything(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


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
    made: Path, other: Callable[[str], Path], tmp_path: Path, sql: str, says: str
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
def test_a_false_row_of_ours_is_found_by_merging_a_true_one(
    made: Path, other: Callable[[str], Path], sql: str, says: str
) -> None:
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
    other: Callable[[str], Path],
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


def test_facts_are_proven_again_and_not_copied(other: Callable[[str], Path], tmp_path: Path) -> None:
    older = other("UPDATE problem SET outcomes = NULL, chance = 0.99, solution = '1+1', stratum = NULL WHERE id < 4")
    facts = "SELECT solvable, solution, chance, stratum, outcomes FROM problem ORDER BY digest"
    merge(older, tmp_path / "ours.db")
    right = [tuple(vars(TASK.facts(problem)).values()) for problem in sorted([*PROBLEMS, SIX], key=lambda p: p.digest)]
    assert rows(tmp_path / "ours.db", facts) == right
    assert (True, "1+2+3+4+5+6", None, "6 numbers", None) in right


def test_an_honest_database_is_merged_whole_with_what_newer_versions_note(made: Path, tmp_path: Path) -> None:
    merged = merge(made, tmp_path / "ours.db")
    assert (merged.rollouts, merged.scores, merged.unchecked) == (32, 32, ())
    for sql in (
        "SELECT prompt_tokens, tokens, finish, text FROM rollout ORDER BY arm_id, draw, problem_id",
        "SELECT scorer, correct, reason, answer, ballot, reward, expression FROM score ORDER BY arm_id, draw, problem_id",
        "SELECT number, seed, sigma FROM draw ORDER BY arm_id, number",
        "SELECT digest FROM prompt ORDER BY arm_id, problem_id",
        "SELECT * FROM problem ORDER BY id",
        "SELECT * FROM arm ORDER BY id",
    ):
        assert rows(tmp_path / "ours.db", sql) == rows(made, sql)


def test_what_this_version_does_not_know_is_merged_and_said(other: Callable[[str], Path], esprobe: Run) -> None:
    other(
        "INSERT INTO score (scorer, arm_id, draw, problem_id, correct, reason, answer, reward) "
        "SELECT 'lenient', arm_id, draw, problem_id, 1, 'generous', answer, 1.0 FROM score WHERE draw = 0"
    )
    done = esprobe("merge", "other.db")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("; merged unchecked, for this esprobe does not know them: 16 verdicts of scorer lenient\n")
    assert esprobe("merge", "other.db").stdout.startswith("0 of 32 rollouts merged")


def test_another_prompt_under_one_arm_is_refused(made: Path, other: Callable[[str], Path], tmp_path: Path) -> None:
    ours = Path(shutil.copy(made, tmp_path / "ours.db"))
    before = everything(ours)
    with pytest.raises(UserError, match="the prompt of problem 3 in arm 2 differs"):
        merge(other("UPDATE prompt SET digest = 'changed' WHERE arm_id = 2 AND problem_id = 3"), ours)
    assert everything(ours) == before


def test_rounding_that_only_one_side_has_measured_is_kept(made: Path, other: Callable[[str], Path], tmp_path: Path) -> None:
    ours = Path(shutil.copy(made, tmp_path / "ours.db"))
    rounding = json.dumps({"groups": {"norm": {"weights": 9, "sigma": 0.5, "unchanged": 0.5}}})
    merge(other(f"UPDATE arm SET rounding = '{rounding}' WHERE id = 3"), ours)
    assert rows(ours, "SELECT id, rounding FROM arm WHERE rounding IS NOT NULL") == [(3, rounding)]
    merge(other("UPDATE arm SET rounding = NULL"), ours)
    assert rows(ours, "SELECT id, rounding FROM arm WHERE rounding IS NOT NULL") == [(3, rounding)]


@pytest.mark.parametrize("order", ["parent first", "parent last", "parent here"])
def test_a_trained_models_parent_is_found_in_any_order(
    made: Path, other: Callable[[str], Path], tmp_path: Path, order: str
) -> None:
    ours = tmp_path / "ours.db"
    if order == "parent here":
        shutil.copy(made, ours)
    ids = (7, 8) if order == "parent first" else (9, 8)
    [(digest_of_m,)] = rows(made, "SELECT digest FROM model WHERE id = 1")
    update = Update((5,), (0.5,))
    record = json.dumps(update.record())
    one = trained_digest("base", [update])
    trained = other(
        f"""
        INSERT INTO model (id, digest, name) VALUES ({ids[0]}, 'base', 'base');
        INSERT INTO model (id, digest, name, parent_id, updates) VALUES ({ids[1]}, '{one}', 'one', {ids[0]}, '{record}');
        INSERT INTO model (id, digest, name, parent_id, updates)
          VALUES (2, '{trained_digest(one, [update])}', 'two', {ids[1]}, '{record}');
        INSERT INTO model (id, digest, name, parent_id, updates)
          VALUES (3, '{trained_digest(digest_of_m, [update])}', 'of m', 1, '{record}');
        """
    )
    for _ in range(2):
        merge(trained, ours)
        assert rows(
            ours,
            "SELECT child.name, parent.name FROM model AS child JOIN model AS parent ON parent.id = child.parent_id ORDER BY 1",
        ) == [("of m", "m"), ("one", "base"), ("two", "one")]


def test_a_database_without_rollouts_says_so(esprobe: Run, other: Callable[[str], Path]) -> None:
    other("DELETE FROM score; DELETE FROM rollout; DELETE FROM draw")
    says = one_line_error(esprobe("merge", "other.db"), 1)
    assert "other.db: contains no rollouts" in says
    assert "-wal" in says


def test_a_copy_that_may_lack_its_newest_rollouts_says_so(esprobe: Run, tmp_path: Path, other: Callable[[str], Path]) -> None:
    path = other("UPDATE run SET state = 'running', ended = NULL")
    said = esprobe("merge", path.name).stdout
    assert "1 run in it did not end: if the file was copied while that ran" in said
    with closing(sqlite3.connect(path)) as still_open:  # its log is next to it, so nothing is lacking
        still_open.execute("PRAGMA journal_mode = WAL")
        still_open.execute("UPDATE run SET message = 'on its way'")
        still_open.commit()
        assert (tmp_path / "other.db-wal").exists()
        assert "did not end" not in esprobe("--db", "another.db", "merge", path.name).stdout


VIEWS = {
    "another view": "DROP VIEW solved; CREATE VIEW solved AS SELECT scorer, arm_id, problem_id, 64 AS n, 64 AS c FROM score",
    "no view": "DROP VIEW arm_summary",
    "a table for a view": "DROP VIEW pass_at_k; CREATE TABLE pass_at_k (x)",
    "a view for a table": "ALTER TABLE run RENAME TO r; CREATE VIEW run AS SELECT * FROM r",
}


@pytest.mark.parametrize("sql", VIEWS.values(), ids=VIEWS)
def test_views_that_are_not_ours_are_not_read(esprobe: Run, other: Callable[[str], Path], sql: str) -> None:
    other(sql)
    for words in (["report"], ["explore"], ["runs"], ["sql", "select 1"]):
        says = one_line_error(esprobe("--db", "other.db", *words), 1)
        assert "is not the one that esprobe makes" in says or "its table run is a view" in says
    if "TABLE run" not in sql:  # the way out that the line names
        assert esprobe("merge", "other.db").returncode == 0
        assert esprobe("report").returncode == 0


def test_a_users_own_views_are_theirs(esprobe: Run, other: Callable[[str], Path]) -> None:
    other("CREATE VIEW mine AS SELECT count(*) AS rollouts FROM rollout")
    assert esprobe("--db", "other.db", "sql", "select * from mine", "--format", "csv").stdout == "rollouts\n32\n"
    assert esprobe("--db", "other.db", "report").returncode == 0


def test_nothing_is_written_where_a_trigger_would_run(esprobe: Run, other: Callable[[str], Path], tmp_path: Path) -> None:
    path = other('CREATE TRIGGER "a ""b""" AFTER INSERT ON Rollout BEGIN DELETE FROM score; END')
    (tmp_path / "one.jsonl").write_text('{"numbers": [1, 2], "target": 3, "draw": 0, "text": "x"}')
    before = everything(path)
    for words in (["import", "one.jsonl"], ["score", "--all"], ["merge", "another.db"]):
        if words[0] == "merge":
            shutil.copy(path, tmp_path / "another.db")
        says = one_line_error(esprobe("--db", "other.db", *words), 1)
        assert 'its trigger a "b" would run' in says
    assert everything(path) == before
    assert esprobe("--db", "other.db", "report").returncode == 0  # reading runs none
    assert esprobe("merge", "other.db").returncode == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('DROP TRIGGER "a ""b"""')
    assert esprobe("--db", "other.db", "import", "one.jsonl").returncode == 0
