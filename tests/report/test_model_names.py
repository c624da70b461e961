"""What is shown to others names a folder's model by the last part of its path, and says nothing of the machine it lay on."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.arms import called
from tests.conftest import Run

FOLDER = "/home/somebody/models/tiny-7b"


@pytest.fixture
def db(swept: Path, tmp_path: Path) -> Path:
    copy = Path(shutil.copy(swept, tmp_path / "r.db"))
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE model SET name = 'tiny-7b', folder = ?", (FOLDER,))
        connection.commit()
    return copy


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
