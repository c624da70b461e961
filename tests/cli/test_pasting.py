"""A command that esprobe prints to be pasted works as it is: it names the database that the user has named."""

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.helpers.errors import one_line_error
from tests.helpers.made import make

ERRORS = [
    ["report", "--model", "nobody"],
    ["report", "--scorer", "nobody"],
    ["report", "--budget"],
    ["report", "--select", "--method", "temperature"],
    ["report", "--compare", "--arm", "1", "--arm", "1"],
    ["export-model", "m", "--out", "m"],
    ["delete", "--arm", "99", "--yes"],
]


def commands(text: str) -> list[list[str]]:
    """The words of each command that stands in a text."""
    return [shlex.split(command) for command in re.findall(r"`(esprobe [^`]*)`", " ".join(text.split()))]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A database in which nothing is correct; its path needs quotes."""
    (tmp_path / "of mine").mkdir()
    return make(tmp_path / "of mine/r.db", [("perturbation", 0.01, dict.fromkeys(range(4), "----"))])


@pytest.mark.parametrize("words", ERRORS, ids=" ".join)
def test_an_errors_commands_name_the_database_that_the_user_named(esprobe: Run, db: Path, words: list[str]) -> None:
    for named in (["--db", db, *words], [*words, f"--db={db}"]):
        found = commands(one_line_error(esprobe(*named), 1))
        assert found
        assert all(command[:3] == ["esprobe", "--db", str(db)] for command in found)
    (db.parent / "esprobe.db").write_bytes(db.read_bytes())
    assert not any("--db" in command for command in commands(one_line_error(esprobe(*words, cwd=db.parent), 1)))
    found = commands(one_line_error(esprobe(*words, env={"ESPROBE_DB": str(db)}), 1))
    assert all(command[:3] == ["esprobe", "--db", str(db)] for command in found)


@pytest.mark.parametrize("style", ["table", "markdown"])
@pytest.mark.parametrize("kind", [[], ["--select"]], ids=str)
def test_a_notes_commands_do_so_too(esprobe: Run, db: Path, kind: list[str], style: str) -> None:
    shown = esprobe("--db", db, "report", *kind, "--format", style, env={"COLUMNS": "80"}).stdout
    (command,) = commands(shown.replace("\\", ""))
    assert command[:4] == ["esprobe", "--db", str(db), "sql"]
    assert "wrong_value" in esprobe(*command[1:]).stdout


def test_a_sweep_says_how_to_see_its_results(esprobe: Run, tmp_path: Path) -> None:
    sweep = ["sample-temp", "-T", "1", "-n", "1", "--limit", "1", "--max-new-tokens", "2"]
    assert esprobe(*sweep).stdout.endswith("; see: esprobe report\n")
    assert esprobe(*sweep, "--db", "my results.db").stdout.endswith("; see: esprobe --db 'my results.db' report\n")
    assert (tmp_path / "my results.db").exists()
