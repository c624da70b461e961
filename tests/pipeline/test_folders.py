"""A model in a folder: what it is called, and that it is found again as the root of a training wherever the folder goes."""

import shutil
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from esprobe.bundled import BUNDLED
from esprobe.engines.models import find_model
from esprobe.errors import UserError
from esprobe.store.merge import merge
from esprobe.store.store import Store
from esprobe.store.trained import add_foreign, find_trained
from tests.conftest import Run
from tests.helpers.errors import one_line_error

FEW = ("--max-new-tokens", "8", "--limit", "4")
TRAIN = ("train", "--name", "es", "--iterations", "1", "--population", "2", "--problems-per-iteration", "2", *FEW)


def models(db: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute("SELECT name, folder FROM model ORDER BY id").fetchall()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model like the bundled one, and not the same: its files differ in one blank."""
    copied = Path(shutil.copytree(str(files("esprobe.bundled") / BUNDLED), tmp_path / "models" / "tiny-7b"))
    with (copied / "generation_config.json").open("a") as file:
        file.write(" ")
    return copied


def test_a_folders_model_is_called_by_its_last_part_or_as_the_user_says(folder: Path) -> None:
    found = find_model(str(folder))
    assert (found.name, found.source, found.told) == ("tiny-7b", str(folder), {"folder": str(folder)})
    assert find_model(str(folder), "org/mine").told == {"name": "org/mine", "folder": str(folder)}


def test_a_folder_with_a_bundled_models_name_is_not_taken_for_it(folder: Path) -> None:
    found = find_model(str(folder.rename(folder.with_name(BUNDLED))))
    assert found.name == BUNDLED
    assert not found.bundled
    assert found.new_tokens == 1024


@pytest.mark.parametrize("name", ["", " ", "a\nb", "/a/b", "es@3", BUNDLED])
def test_a_name_that_says_something_else_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(UserError, match="--name"):
        find_model(str(folder), name)


@pytest.mark.parametrize("model", [BUNDLED, "org/model", "countdown-tiny-es@1"])
def test_only_a_folders_model_is_given_a_name(esprobe: Run, model: str) -> None:
    line = one_line_error(esprobe("sample-temp", "--model", model, "--name", "mine", *FEW), 1)
    assert "only the model of a folder is given a name" in line


def test_a_training_finds_its_root_where_the_folder_is_now(esprobe: Run, tmp_path: Path, folder: Path) -> None:
    db = tmp_path / "esprobe.db"
    trained = esprobe(*TRAIN, "--model", folder)
    assert trained.returncode == 0, trained.stderr
    assert models(db) == [("tiny-7b", str(folder)), ("es@1", None)]
    merge(db, tmp_path / "other.db")
    assert models(tmp_path / "other.db") == [("tiny-7b", None), ("es@1", None)]  # the path is this machine's affair
    moved = folder.rename(tmp_path / "tiny-7b")
    draw = ("sample-temp", "--model", "es@1", "-T", "1", "-n", "1", *FEW)
    lost = one_line_error(esprobe(*draw), 1)
    assert f"es@1 was trained from tiny-7b, which is not found here (there is no folder {folder})" in lost
    assert esprobe("--db", "other.db", *draw).returncode == 0  # where it is not known, a folder of that name here
    assert models(tmp_path / "other.db")[0] == ("tiny-7b", str(moved))
    named = esprobe("sample-temp", "--model", moved, "--name", "org/mine", "-T", "1", "-n", "1", *FEW)
    assert named.returncode == 0, named.stderr
    assert models(db)[0] == ("org/mine", str(moved))
    again = esprobe(*draw)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("8 of 8")
    (moved / "generation_config.json").write_text('{"eos_token_id": [0, 1]}')
    assert f"{moved} has other files than it had then" in one_line_error(esprobe(*draw), 1)


def test_a_folder_called_like_a_trained_model_is_not_taken_for_it(esprobe: Run, tmp_path: Path, folder: Path) -> None:
    folder = folder.rename(folder.with_name("es@1"))
    assert find_model(str(folder)).name == "es-1"
    db = tmp_path / "esprobe.db"
    assert esprobe(*TRAIN).returncode == 0
    with closing(Store(db)) as store:
        add_foreign(store, ("r" * 32, "root"), [("c" * 32, "es@1", {"training": {"rollouts_spent": 5}})])
        found = find_trained(store, "es@1")
    assert found is not None
    assert found.root == BUNDLED


def test_a_copy_of_a_bundled_model_is_called_as_that_one_and_the_user_is_told(esprobe: Run, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(str(files("esprobe.bundled") / BUNDLED), tmp_path / "copied"))
    db, draw = tmp_path / "esprobe.db", ("sample-temp", "-T", "1", "-n", "1", *FEW)
    for named in ([], ["--name", "org/mine"]):
        done = esprobe(*draw, "--model", copied, *named)
        assert done.returncode == 0, done.stderr
        assert f"{copied} is the bundled model {BUNDLED}, and is called so" in done.stderr.splitlines()
        assert models(db) == [(BUNDLED, None)]
    assert esprobe(*TRAIN, "--model", copied).returncode == 0
    shutil.rmtree(copied)
    again = esprobe("sample-temp", "--model", "es@1", "-T", "1", "-n", "1", *FEW)
    assert again.returncode == 0, again.stderr


def test_a_bundled_model_that_has_lost_its_name_gets_it_back(esprobe: Run, tmp_path: Path) -> None:
    db, draw = tmp_path / "esprobe.db", ("sample-temp", "-T", "1", "-n", "1", *FEW)
    assert esprobe(*draw).returncode == 0
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE model SET name = 'mine', folder = '/gone'")
        connection.commit()
    assert esprobe(*draw).stdout.startswith("0 of 8")
    assert models(db) == [(BUNDLED, None)]
