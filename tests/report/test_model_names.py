"""What is shown to others names a folder's model by the last part of its path, and says nothing of the machine it lay on."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.arms import called
from tests.conftest import Run
from tests.helpers.errors import one_line_error

FOLDER = "/home/somebody/models/tiny-7b"


def named(made: Path, copy: Path, name: str, folder: object, where: str = "true") -> Path:
    """A copy of a database in which the model is called so, and was found there."""
    shutil.copy(made, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(f"UPDATE model SET name = ?, folder = ? WHERE {where}", (name, str(folder)))
        connection.commit()
    return copy


@pytest.fixture
def db(swept: Path, tmp_path: Path) -> Path:
    return named(swept, tmp_path / "r.db", "tiny-7b", FOLDER)


@pytest.mark.parametrize(
    ("name", "shown"),
    [(FOLDER, "tiny-7b"), ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"), ("./near", "./near"), ("es@3", "es@3"), ("/", "/")],
)
def test_only_absolute_paths_are_shortened(name: str, shown: str) -> None:
    assert called(name) == shown


@pytest.mark.parametrize(
    "words", [["report"], ["report", "--format", "csv"], ["report", "--compare"], ["report", "--select"], ["arms"]], ids=str
)
def test_a_report_names_a_folder_by_its_last_part(esprobe: Run, db: Path, words: list[str]) -> None:
    shown = esprobe("--db", db, *words)
    assert shown.returncode == 0
    assert "tiny-7b" in shown.stdout
    assert "somebody" not in shown.stdout
    filtered = ["--model", FOLDER] if words[0] == "report" else []
    assert esprobe("--db", db, *words, *filtered).stdout == shown.stdout


def test_the_page_and_the_plots_name_it_so_too(esprobe: Run, db: Path, tmp_path: Path) -> None:
    assert esprobe("--db", db, "explore", "--out", tmp_path / "page.html").returncode == 0
    assert esprobe("--db", db, "report", "--plots", tmp_path / "plots").returncode == 0
    files = [tmp_path / "page.html", *(tmp_path / "plots").glob("*.svg")]
    assert len(files) > 3
    assert "tiny-7b" in files[0].read_text()
    assert not any("somebody" in f"{file.name} {file.read_text()}" for file in files)


def ways(folder: Path, start: Path) -> list[str]:
    """Paths of a folder: absolute, through a link, and from `start`."""
    link = folder.with_name("link")
    link.symlink_to(folder)
    near = str(folder.relative_to(start))
    return [str(folder), f"{folder}/", str(link), near, f"./{near}", f"{near}/../{folder.name}"]


@pytest.mark.parametrize("kind", [[], ["--compare"], ["--select"]], ids=str)
def test_a_filter_finds_a_model_by_its_folder_whatever_it_is_called(
    esprobe: Run, swept: Path, tmp_path: Path, kind: list[str]
) -> None:
    folder, other = tmp_path / "models" / "a", tmp_path / "models" / "b"
    for path in (folder, other):
        path.mkdir(parents=True)
    db = named(swept, tmp_path / "r.db", "org/mine", folder)
    shown = esprobe("--db", db, "report", *kind).stdout
    assert "org/mine" in shown
    for way in ways(folder, tmp_path):
        assert esprobe("--db", db, "report", *kind, "--model", way).stdout == shown
    assert esprobe("--db", db, "explore", "--model", "models/a").returncode == 0
    for words in (["report", *kind], ["explore"]):
        assert "no arm passes" in one_line_error(esprobe("--db", db, *words, "--model", other), 1)


def test_a_budget_and_a_comparison_with_the_base_find_it_too(esprobe: Run, trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "a"
    folder.mkdir(parents=True)
    db = named(trained / "esprobe.db", tmp_path / "r.db", "org/mine", folder, "parent_id IS NULL")
    budget = esprobe("--db", db, "report", "--budget", "--model", "models/a")
    assert budget.stdout == esprobe("--db", db, "report", "--budget").stdout
    assert "no trained model or base here" in one_line_error(esprobe("--db", db, "report", "--budget", "--model", "models"), 1)
    db = named(trained / "esprobe.db", tmp_path / "s.db", "es-2@2", folder, "name = 'es-2@2'")
    compared = esprobe("--db", db, "report", "--compare", "--model", "models/a")
    assert "es-2@2 greedy" in compared.stdout
    assert compared.stdout == esprobe("--db", db, "report", "--compare", "--model", "es-2@2").stdout
