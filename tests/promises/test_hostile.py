"""Hostile names, files, models and databases as a user meets them: one clear line, nothing run, lost or half written."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.bundled import BUNDLED
from esprobe.cli.presets.load import load_preset
from esprobe.engines.models import find_model, load_tokenizer
from esprobe.errors import UserError
from esprobe.pipeline.import_rollouts import Source, import_rollouts
from esprobe.store.merge import merge
from esprobe.tasks.prompts import prompt_text
from esprobe.tasks.records import load_problems
from esprobe.tasks.registry import DEFAULT, task_named
from tests.conftest import ESPROBE, Run
from tests.helpers.errors import one_line_error
from tests.helpers.made import honest, make
from tests.helpers.wired import compare_report, explore, report, save_plots

ARMS = [("temperature", 0.5, {0: "+---", 1: "++--"}), ("perturbation", 0.01, {0: "----", 1: "+---"}), ("greedy", None, {0: "+"})]
NAME = "\x1b[31m\u202e[red]../x|<b>`$\\frac$`\n=1"
TASK = task_named(DEFAULT)


def altered(path: Path, sql: str) -> Path:
    make(path, ARMS)
    honest(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA foreign_keys = OFF; {sql}")
    return path


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """Results whose model is called something that no terminal, table, plot or file system should meet."""
    path = tmp_path / "named.db"
    make(path, ARMS)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE model SET name = ?", [NAME])
    return path


def test_a_hostile_name_reaches_no_terminal_markup_plot_or_path(named: Path, tmp_path: Path) -> None:
    for style in ("table", "markdown"):
        for text in (report(named, style=style), compare_report(named, style=style)):
            assert all(c.isprintable() or c == "\n" for c in text)
            assert "\\x1b[31m\\u202e" in text.replace("\\\\", "\\")
            assert style == "table" or "<b>" not in text
    assert json.loads(report(named, style="json"))[0]["model"] == NAME
    lines = save_plots(named, None, tmp_path / "plots")
    made = sorted((tmp_path / "plots").iterdir())
    assert len(made) == sum(not line.startswith("skipped") for line in lines) > 8
    assert all(path.name[0].isalnum() and path.name.isascii() for path in made)
    assert all("\x1b" not in path.read_text() for path in made if path.suffix == ".svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["named.db", "named.db-shm", "named.db-wal", "plots"]


DEFECTS = {
    "text for a verdict": "UPDATE score SET correct = 'yes'",
    "five for a verdict": "UPDATE score SET correct = 5",
    "a blob for a text": "UPDATE rollout SET text = x'ff00'",
    "a text that is no UTF-8": "UPDATE rollout SET text = CAST(x'ff' AS TEXT)",
    "settings that are no JSON": "UPDATE arm SET settings = '{'",
    "settings too deep": "UPDATE arm SET settings = replace(hex(zeroblob(50000)), '0', '[')",
    "settings that are a number": "UPDATE arm SET settings = '3'",
    "a value that is text": "UPDATE arm SET value = 'hot'",
    "an infinite value": "UPDATE arm SET value = 9e999",
    "an unknown method": "UPDATE arm SET method = 'x'",
    "a payload of another form": "UPDATE problem SET payload = '[]'",
    "a target beyond memory": """UPDATE problem SET payload = '{"numbers": [1], "target": "1e999999999"}'""",
    "a chance of two": "UPDATE problem SET chance = 2",
    "problems without any outcome": "UPDATE problem SET outcomes = 0, chance = 0.5",
    "tokens below none": "UPDATE rollout SET tokens = -5",
    "draws below none": "UPDATE draw SET number = -1 - number; UPDATE rollout SET draw = -1 - draw; "
    "UPDATE score SET draw = -1 - draw",
    "arms without model": "DELETE FROM model",
    "scores without rollout": "DELETE FROM rollout",
    "no table": "DROP TABLE score",
    "a view for a table": "ALTER TABLE run RENAME TO r; CREATE VIEW run AS SELECT * FROM r",
}


@pytest.mark.parametrize("sql", DEFECTS.values(), ids=DEFECTS)
def test_a_database_of_rows_that_are_not_ours_is_not_merged(tmp_path: Path, sql: str) -> None:
    other = altered(tmp_path / "other.db", sql)
    make(tmp_path / "ours.db", ARMS[:1])
    before = contents(tmp_path / "ours.db")
    with pytest.raises(UserError, match=r"cannot be merged .*nothing was merged"):
        merge(other, tmp_path / "ours.db")
    assert contents(tmp_path / "ours.db") == before


def test_another_databases_triggers_and_missing_indexes_change_nothing(tmp_path: Path) -> None:
    sql = """
        CREATE TRIGGER evil AFTER INSERT ON rollout BEGIN DELETE FROM score; END;
        ALTER TABLE score RENAME TO s;
        CREATE TABLE score AS SELECT * FROM s; INSERT INTO score SELECT * FROM s; DROP TABLE s;
    """
    other = altered(tmp_path / "other.db", f"PRAGMA legacy_alter_table = ON; {sql}")
    assert merge(other, tmp_path / "ours.db").scores == 17
    assert merge(other, tmp_path / "ours.db").scores == 0


@pytest.mark.parametrize("command", [["report"], ["explore"], ["score", "--all"]], ids=" ".join)
def test_reading_rows_that_are_not_ours_names_them(esprobe: Run, tmp_path: Path, command: list[str]) -> None:
    sql = "UPDATE score SET correct = 5" if command != ["score", "--all"] else "UPDATE rollout SET text = x'ff'"
    path = altered(tmp_path / "r.db", sql)
    before = contents(path)
    assert "that esprobe would not have written; restore it" in one_line_error(esprobe("--db", path, *command), 1)
    assert contents(path) == before


def test_problems_without_any_outcome_are_named(esprobe: Run, tmp_path: Path) -> None:
    path = altered(tmp_path / "r.db", DEFECTS["problems without any outcome"])
    assert "that esprobe would not have written; restore it" in one_line_error(esprobe("--db", path, "report"), 1)


def test_a_refused_import_leaves_nothing(tmp_path: Path) -> None:
    db, file = tmp_path / "r.db", tmp_path / "f.jsonl"
    line = {"numbers": [1, 2, 3], "target": 6, "draw": 0, "text": "first"}
    file.write_text(json.dumps(line))
    import_rollouts(file, db, "test", Source("m"))
    before = contents(db)
    file.write_text(json.dumps(line | {"numbers": [7, 8, 9]}) + "\n" + json.dumps(line | {"text": "second"}))
    with pytest.raises(UserError, match="line 2: draw 0 of this problem is already stored with another text"):
        import_rollouts(file, db, "test", Source("m"))
    for model, method, value in (
        ("\udcff", "imported", None),
        (" ", "imported", None),
        ("m", "temperature", float("nan")),
        ("m", "temperature", -1.0),
        ("m", "greedy", 0.5),
    ):
        with pytest.raises(UserError):
            import_rollouts(file, db, "test", Source(model, "", method, value))  # type: ignore[arg-type]
    assert contents(db) == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a=" + "[" * 100_000, "has more than 64 KiB"),
        ("a=" + "[" * 10_000, "recursion"),
        ("limit = 1" + "0" * 5000, "4300 digits"),
        ('preset = "paper"', "cannot name another preset"),
    ],
    ids=["huge", "deep", "digits", "preset"],
)
def test_a_hostile_preset_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(UserError, match=says):
        load_preset(str(tmp_path / "p.toml"), "sample-temp")


def test_endless_files_and_impossible_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esprobe.tasks.records.MAX_BYTES", 1 << 20)  # a GiB takes too long here
    with pytest.raises(UserError, match="/dev/zero: has more than 1 MiB; cut it"):
        load_problems(TASK, Path("/dev/zero"))
    with pytest.raises(UserError, match="no such file"):
        load_problems(TASK, Path("a" * 5000))
    for name in ("a" * 5000 + "/b/c", "", "a\0b", "../../x", "[red]x", "a\x1bb"):
        with pytest.raises(UserError, match="no such folder"):
            find_model(name)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(find_model(BUNDLED).folder, tmp_path / "model")
    return tmp_path / "model"


def settings(folder: Path, name: str, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def test_a_models_own_code_is_never_run_nor_offered(esprobe: Run, copy: Path, tmp_path: Path) -> None:
    (copy / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    classes = {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    settings(copy, "tokenizer_config.json", lambda c: c.update(auto_map=classes, tokenizer_class="Evil"))
    settings(copy, "config.json", lambda c: c.update(auto_map=classes, model_type="evil", architectures=["Evil"]))
    done = esprobe("sample-temp", "--model", copy, "-n", "1", "--limit", "1", "--max-new-tokens", "1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: model ")
    assert "Do you wish to run" not in done.stdout + done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("ids", ["x", 1.5, -5, 10**30, [1, "x"], [[1]], [None], {}, True], ids=str)
def test_end_ids_that_are_no_token_ids_are_one_clear_error(copy: Path, ids: object) -> None:
    settings(copy, "generation_config.json", lambda c: c.update(eos_token_id=ids))
    with pytest.raises(UserError, match="is no token id"):
        find_model(str(copy)).end_ids(None)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ cycler.__init__.__globals__.os.system('true') }}", "chat template fails .*unsafe"),
        ("{% for", "chat template fails"),
        ("{{ 1 / 0 }}", "chat template fails"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "chat template fails .*recursion"),
        ("{{ 'a' * 3000000 }}", "makes a prompt of 3,000,000 characters"),
    ],
)
def test_a_hostile_chat_template_is_one_clear_error(copy: Path, template: str, says: str) -> None:
    (copy / "chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match=says):
        prompt_text(TASK, {"numbers": [1], "target": "1"}, "chat", load_tokenizer(find_model(str(copy))))


def test_the_page_replaces_no_database(tmp_path: Path) -> None:
    make(tmp_path / "r.db", ARMS)
    make(tmp_path / "s.db", ARMS)
    before = contents(tmp_path / "r.db")
    for name in ("r.db", "r.db-wal", "s.db"):
        with pytest.raises(UserError, match="is a database or belongs to one"):
            explore(tmp_path / "r.db", tmp_path / name)
    assert contents(tmp_path / "r.db") == before


TRICKS = [
    "attach 'file:x.db?mode=rwc' as x",
    "vacuum into 'x.db'",
    "insert into model (digest, name) values ('a', 'b') returning id",
    "with x as (select 1) insert into model (digest, name) select 'a', 'b' from x returning id",
    "delete from score returning *",
    "replace into model values (1, 'a', 'b')",
    "create virtual table t using fts5(x)",
    "create temp table t (x)",
    "select load_extension('x')",
    "select writefile('x.db', 'y')",
    "select readfile('/etc/passwd')",
    "select edit('x')",
    "select * from pragma_journal_mode",
    "pragma journal_mode = delete",
    "pragma main.user_version = 4",
    "pragma temp_store_directory = '.'",
    "pragma writable_schema = 1",
    "pragma query_only = off",
    "pragma wal_checkpoint(truncate)",
    "savepoint a",
    "select 1; delete from score",
    "select hex(zeroblob(900000000))",
    "select '\udcff'",
]


def test_no_query_writes_reads_files_or_ends_in_a_traceback(esprobe: Run, swept: Path, tmp_path: Path) -> None:
    before = contents(swept)
    for trick in TRICKS:
        one_line_error(esprobe("--db", swept, "sql", trick), 1)
    assert contents(swept) == before
    assert not (tmp_path / "x.db").exists()


def test_formulas_are_text_in_csv_and_numbers_stay_numbers(esprobe: Run, swept: Path) -> None:
    query = "select '=1+1' as a, '+x' as b, '-5' as c, -5 as d, -0.5 as e, '@x' as f, 'a=1' as g, char(9) || 'x' as h"
    assert esprobe("--db", swept, "sql", query, "--format", "csv").stdout == (
        "a,b,c,d,e,f,g,h\n'=1+1,'+x,-5,-5,-0.5,'@x,a=1,'\tx\n"
    )


@pytest.mark.parametrize("words", ["report", "--help", "runs", "sql 'select text from rollout' --format csv"])
def test_output_that_nobody_reads_ends_quietly_and_a_full_disk_is_told(swept: Path, words: str) -> None:
    command = f"set -o pipefail; {ESPROBE} --db {swept} {words}"
    closed = subprocess.run(["bash", "-c", f"{command} | true"], capture_output=True, text=True)
    assert (closed.returncode, closed.stderr) == (0, "")
    full = subprocess.run(["bash", "-c", f"{command} > /dev/full"], capture_output=True, text=True)
    assert "the disk is full" in one_line_error(full, 1)


def test_errors_show_no_control_characters_and_have_an_end(esprobe: Run) -> None:
    said = one_line_error(esprobe("sample-temp", "--data", "a\x1b[31m\u202eb"), 1)
    assert r"a\x1b[31m\u202eb: no such file" in said
    assert len(one_line_error(esprobe("--db", "a" * 50_000, "report"), 1)) < 1100
