"""An older database is brought up to date with nothing lost, whatever it contains, and whenever the upgrade is killed."""

import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from esprobe.analysis.reading import open_database
from esprobe.store import schema
from esprobe.store.store import Store
from esprobe.tasks.base import Problem
from tests.conftest import Run, needs
from tests.helpers.errors import one_line_error
from tests.helpers.older import REVISIONS, ROWS, assert_kept_and_current, at_revision, rows_of, with_reward
from tests.promises.disk import perform, record


@pytest.mark.parametrize("use", [Store, open_database], ids=["store", "report"])
@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_database_of_any_older_schema_is_upgraded_in_place_with_nothing_lost(tmp_path: Path, revision: str, use: Any) -> None:
    path = tmp_path / "old.db"
    at_revision(path, revision)
    before = rows_of(path)
    assert all(len(rows) == ROWS for _, rows in before.values())
    assert schema.inspect(path) == "older"
    use(path).close()
    assert_kept_and_current(path, before)


@pytest.mark.parametrize("revision", [None, *REVISIONS[:-1]])
def test_a_migration_killed_at_any_moment_leaves_the_old_schema_or_the_new_and_is_done_again(
    tmp_path: Path, revision: str | None
) -> None:
    needs("strace", "true")
    made = tmp_path / "made"
    made.mkdir()
    if revision is not None:
        at_revision(made / "r.db", revision)
    before = rows_of(made / "r.db") if revision else {}
    now = Path(shutil.copytree(made, tmp_path / "now"))
    code = "import sys; from pathlib import Path; from esprobe.store.schema import migrate; migrate(Path(sys.argv[1]))"
    ops = record([sys.executable, "-c", code, str(made / "r.db")], made)
    old = "new" if revision is None else "older"
    seen = []
    for i, op in enumerate(ops):
        if op.kind in ("said", "sync"):
            continue
        perform(op, now)
        state = schema.inspect(now / "r.db")
        assert state in (old, "current")
        seen.append(state)
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            copy = Path(shutil.copytree(now, folder, dirs_exist_ok=True)) / "r.db"
            if state == old and revision is not None:
                assert rows_of(copy) == before
            if i % 5 == 0:
                Store(copy).close()
                assert schema.inspect(copy) == "current"
                if revision is not None:
                    assert_kept_and_current(copy, before)
    assert seen == sorted(seen, key=[old, "current"].index)
    assert set(seen) == {old, "current"}
    assert len(seen) > 10


def test_an_upgrade_calls_a_folders_model_by_its_last_part_and_keeps_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    at_revision(path, "0008")
    names = ["/home/somebody/models/tiny-7b", "org/model", "/", "/exports/es@3"]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("update model set name = ? where id = ?", [(name, i) for i, name in enumerate(names, 1)])
    schema.migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("select name, folder from model order by id limit 4").fetchall()
    assert found == [("tiny-7b", names[0]), ("org/model", None), ("/", None), ("es-3", names[3])]


def test_an_upgrade_keeps_rows_that_refer_to_nothing_and_what_the_user_added(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    at_revision(path, "0002")
    own = {
        "marked": "CREATE TABLE marked (rollout_id REFERENCES rollout (id) ON DELETE CASCADE, mark, why)",
        'by "answer"': 'CREATE INDEX "by ""answer""" ON score (answer)',
        "unmarked": "CREATE TRIGGER unmarked AFTER DELETE ON score BEGIN DELETE FROM marked WHERE why = old.reason; END",
        "noticed": "CREATE TRIGGER noticed AFTER INSERT ON marked BEGIN UPDATE score SET reason = reason; END",
    }
    with closing(sqlite3.connect(path)) as connection, connection:  # where foreign keys are not enforced, as in SQLite's shell
        for sql in own.values():
            connection.execute(sql)
        connection.execute("insert into marked values (1, 2, 'reason 1 ‘σ’')")
        connection.execute("delete from rollout where id = 2")
        connection.execute("delete from draw where number = 14")
        connection.execute("delete from problem where id = 3")
    before = rows_of(path)
    schema.migrate(path)
    after = rows_of(path)
    with closing(sqlite3.connect(path)) as connection:
        before["score"] = with_reward(*before["score"])
        for table, (columns, rows) in before.items():
            assert sorted(connection.execute(f"select {', '.join(columns)} from {table}")) == sorted(rows), table
        assert dict(connection.execute("select name, sql from sqlite_master where name in (?, ?, ?, ?)", [*own])) == own
    assert len(after["score"][1]) == ROWS
    assert len(after["rollout"][1]) == ROWS - 1


def test_an_upgrade_is_told_once_and_not_when_quiet(esprobe: Run, tmp_path: Path) -> None:
    for name in ("loud.db", "quiet.db"):
        at_revision(tmp_path / name, "0001")
    told = f"{tmp_path / 'loud.db'}: was written by an older esprobe; upgrading it, once\n"
    for stderr in (told, ""):
        assert esprobe("--db", tmp_path / "loud.db", "runs").stderr == stderr
    assert esprobe("--db", tmp_path / "quiet.db", "--quiet", "runs").stderr == ""


def test_an_older_file_is_merged_and_stays_as_it_is(esprobe: Run, tmp_path: Path) -> None:
    at_revision(tmp_path / "old.db", "0001")
    before = (tmp_path / "old.db").read_bytes()
    done = esprobe("merge", "old.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{ROWS} of {ROWS} rollouts merged")
    assert (tmp_path / "old.db").read_bytes() == before
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
        connection.execute("delete from rollout where id = 2")
    assert one_line_error(esprobe("merge", "old.db"), 1) == (
        "error: old.db: cannot be merged (table score has 1 row that esprobe would not have written); nothing was merged"
    )


# text → what the esprobe of then said of it (correct, reason, answer, format reward), and today's (correct, ballot, expression)
TEXTS = {
    "</think>\n<answer>2 + 3</answer>": ((1, "correct", "2 + 3", 1.0), (1, "5", "2+3")),
    "<answer>2\n+\u00a03</answer>": ((0, "bad_characters", "2\n+\u00a03", 0.5), (1, "5", "2+3")),
    "<answer>2 * 3</answer>": ((0, "wrong_value", "2 * 3", 0.5), (0, "6", "2*3")),
    "no answer": ((0, "no_answer", None, 0.0), (0, None, None)),
}


def results_of_then(path: Path, revision: str) -> None:
    """A small real database of an older revision: a perturbation arm with the texts above, a problem with a negative target."""
    rewards = revision >= "0004"  # and tasks of arms, strata of problems, σ of draws
    task, its_task = (", task", ", 'countdown'") if rewards else ("", "")
    at_revision(path, revision, rows=0)
    digests = [Problem("countdown", {"numbers": [2, 3], "target": target}).digest for target in ("5", "-5", "7.0")]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            f"""
            INSERT INTO model (id, digest, name) VALUES (1, 'd', 'm');
            INSERT INTO problem (id, digest, task, payload, solvable, solution, chance) VALUES
              (1, 'a', 'countdown', '{{"numbers": [2, 3], "target": "5"}}', 1, '(2 + 3)', 0.25),
              (2, 'b', 'countdown', '{{"numbers": [2, 3], "target": "-5"}}', 0, NULL, 0.0),
              (3, 'c', 'countdown', '{{"numbers": [2, 3], "target": "7.0"}}', 0, NULL, 0.0);
            INSERT INTO arm (id, digest, model_id, method, value, settings{task}) VALUES
              (1, 'p', 1, 'perturbation', 0.01, '{{"task": "countdown", "noise": "iid"}}'{its_task}),
              (2, 't', 1, 'temperature', 0.5, '{{}}'{its_task});
            INSERT INTO run (id, uuid, command, versions, machine, started, state)
              VALUES (1, 'u', '', '{{}}', '{{}}', '', 'done');
            """
        )
        connection.executemany("UPDATE problem SET digest = ? WHERE id = ?", zip(digests, (1, 2, 3), strict=True))
        for draw, (text, (said, _)) in enumerate(TEXTS.items()):
            connection.execute("INSERT INTO draw (arm_id, number, seed) VALUES (1, ?, 77), (2, ?, NULL)", [draw, draw])
            for arm in (1, 2):
                row = [arm, draw, text]
                columns = "arm_id, draw, text, problem_id, run_id, tokens, finish"
                connection.execute(f"INSERT INTO rollout ({columns}) VALUES (?, ?, ?, 1, 1, 9, 'stop')", row)
            columns = f"arm_id, problem_id, draw, scorer, correct, reason, answer, {'reward' if rewards else 'format_reward'}"
            if rewards:
                said = (*said[:3], (said[0] + 0.1 * said[3]) / 1.1)
            score = f"INSERT INTO score ({columns}) VALUES (?, 1, ?, ?, ?, ?, ?, ?)"
            connection.execute(score, [1, draw, "countdown", *said])
            connection.execute(score, [1, draw, "one of another program's", *said])
        if rewards:
            connection.execute("UPDATE problem SET stratum = '2 numbers', solvable = CASE WHEN id <> 2 THEN solvable END")
            connection.execute("UPDATE draw SET sigma = 0.01 WHERE arm_id = 1")


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_an_upgrade_scores_by_todays_rule_and_says_how_many_verdicts_changed(esprobe: Run, tmp_path: Path, revision: str) -> None:
    path = tmp_path / "r.db"
    results_of_then(path, revision)
    assert esprobe("--db", path, "runs").stderr.splitlines()[1] == (
        f"{path}: upgraded; all 4 verdicts were checked by today's rules, and 1 of them changed"
    )
    with closing(open_database(path)) as connection:
        rows = connection.execute(
            "SELECT text, correct, ballot, expression, reason, reward FROM rollout_text WHERE scorer = 'countdown' ORDER BY draw"
        ).fetchall()
        assert {text: found for text, *found, _, _ in rows} == {t: [*now] for t, (_, now) in TEXTS.items()}
        assert [reason for *_, reason, _ in rows] == ["correct", "correct", "wrong_value", "no_answer"]
        assert [reward for *_, reward in rows] == pytest.approx([1, 1.05 / 1.1, 0.05 / 1.1, 0])
        form = "(reward * 1.1 - correct) / 0.1"
        foreign = f"SELECT correct, reason, answer, {form}, ballot FROM score WHERE scorer LIKE 'one%' ORDER BY draw"
        for row, (said, _) in zip(connection.execute(foreign).fetchall(), TEXTS.values(), strict=True):
            assert row[:3] == said[:3]
            assert row[3:] == (pytest.approx(said[3]), None)
        assert connection.execute("SELECT task FROM arm").fetchall() == [("countdown",)] * 2
        assert connection.execute("SELECT DISTINCT arm_id, sigma FROM draw").fetchall() == [(1, 0.01), (2, None)]
        assert connection.execute("SELECT stratum, solvable, outcomes FROM problem ORDER BY id").fetchall() == [
            ("2 numbers", 1, None),
            ("2 numbers", None, None),  # the proof of then left out signs
            ("2 numbers", 0, None),
        ]
    assert esprobe("--db", path, "score").returncode == 0
    with closing(open_database(path)) as connection:
        assert connection.execute("SELECT solvable, solution, chance, outcomes FROM problem ORDER BY id").fetchall() == [
            (1, "(2 + 3)", 0.25, 6),
            (1, "-(2 + 3)", 0.0, 6),
            (0, None, 0.0, 6),
        ]


def test_an_upgrade_leaves_what_is_no_text_and_no_problem_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    results_of_then(path, "0003")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE rollout SET text = CAST(x'3c616e737765723e32202b2033ff3c2f616e737765723e' AS TEXT) WHERE draw = 0"
        )
        connection.execute("UPDATE rollout SET text = x'00ff' WHERE draw = 2")
        connection.execute('UPDATE problem SET payload = \'{"numbers": "\' WHERE id = 2')
        connection.execute("UPDATE arm SET settings = '[' WHERE id = 2")
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT draw, reason FROM score WHERE scorer = 'countdown' ORDER BY draw"
        assert connection.execute(sql).fetchall() == [
            (0, "bad_characters"),
            (1, "correct"),
            (2, "wrong_value"),
            (3, "no_answer"),
        ]


def test_what_the_user_made_of_the_old_columns_goes_on_to_work(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    results_of_then(path, "0003")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE noticed (what)")
        connection.execute(
            "CREATE TRIGGER on_score AFTER UPDATE OF format_reward ON score "
            "BEGIN INSERT INTO noticed VALUES (new.format_reward); END"
        )
        connection.execute("CREATE INDEX by_form ON score (format_reward)")
        connection.execute('CREATE INDEX "of ""arms""" ON arm (method)')
        connection.execute("CREATE VIEW own AS SELECT name FROM model")
        connection.execute("CREATE TRIGGER into_own INSTEAD OF INSERT ON own BEGIN INSERT INTO noticed VALUES (new.name); END")
    schema.migrate(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("SELECT * FROM noticed").fetchall() == []  # the upgrade itself sets nothing off
        connection.execute("INSERT INTO own VALUES ('x')")
        connection.execute("UPDATE score SET reward = 0.5 WHERE draw = 0 AND scorer = 'countdown'")
        assert connection.execute("SELECT * FROM noticed").fetchall() == [("x",), (0.5,)]
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        assert {"by_form", 'of "arms"', "ix_arm_model_id", "ix_rollout_tokens"} <= names


def test_a_trigger_that_names_what_there_is_not_does_not_stop_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    results_of_then(path, "0003")
    sql = "CREATE TRIGGER broken AFTER DELETE ON run BEGIN DELETE FROM nowhere; END"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)
    schema.migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT sql FROM sqlite_master WHERE name = 'broken'").fetchall() == [(sql,)]


@pytest.mark.parametrize("made", ["CREATE TABLE Vote_at_k (a, b, c)", "CREATE INDEX cover_at_tau ON run (state)"])
def test_a_table_with_the_name_of_a_view_is_named_and_kept(esprobe: Run, tmp_path: Path, made: str) -> None:
    path = tmp_path / "r.db"
    at_revision(path, "0001", rows=0)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(made)
    before = rows_of(path)
    says = one_line_error(esprobe("--db", path, "report"), 1)
    assert says.startswith(f"error: {path}: it contains a")
    assert made.split()[2] in says
    assert rows_of(path) == before
    assert schema.inspect(path) == "older"
