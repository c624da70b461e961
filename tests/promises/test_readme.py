"""The documents are true: their commands run, in their order, as typed (with fewer samples), and what they name exists."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ESPROBE, HANGS_S, lacking, run_esprobe

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
# their commands run one after the other in one folder: what the README's leave there, those of the others may use
PATHS = (
    "README.md",
    "migrations/README.md",
    "esprobe/bundled/README.md",
    "tests/README.md",
    ".github/CONTRIBUTING.md",
    ".github/CHANGELOG.md",
)
DOCUMENTS = {path: (ROOT / path).read_text() for path in PATHS}
LINES = [
    line
    for text in DOCUMENTS.values()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in block.strip().splitlines()
]
SMALLER = {
    "ESPROBE_SAMPLES": "2",
    "ESPROBE_PERTURBATIONS": "2",
    "ESPROBE_TINY_STEPS": "100",
    "ESPROBE_PROBLEMS": "4",
    "ESPROBE_POPULATION": "2",
    "ESPROBE_PROBLEMS_PER_ITERATION": "1",
    "ESPROBE_MODEL": "countdown-tiny",  # the preset's model is not on this disk
    "ESPROBE_MAX_NEW_TOKENS": "48",
    "ESPROBE_DTYPE": "float32",
}


@pytest.mark.parametrize("target", sorted({line.split()[1] for line in LINES if line.startswith("make ")}))
def test_make_targets_of_the_documents_are_run_by_ci(target: str) -> None:
    # CI runs them in full, from a fresh clone; a test that ran `make test` would never end
    assert re.search(rf"^ *make {target}\b", (ROOT / ".ci/run").read_text(), re.MULTILINE)


def test_the_commands_of_the_documents_run_as_typed(tmp_path: Path, published: Path) -> None:
    if not shutil.which("sqlite3"):
        lacking("the sqlite3 shell")
    shutil.copy(published, tmp_path / "countdown.json")
    env = {k: v for k, v in os.environ.items() if not k.startswith("ESPROBE_")} | SMALLER | {"HF_HUB_OFFLINE": "1"}
    env["PATH"] = f"{ESPROBE.parent}:{env['PATH']}"
    ran = 0
    for line in LINES:
        if line.startswith("make "):
            continue
        used = {k: v for k, v in env.items() if k != "ESPROBE_MODEL" or "--preset paper" in line}
        fewer = re.sub(r"(-n|--population) (?:\d{3,}|64)", r"\1 2", line)
        done = subprocess.run(fewer, shell=True, cwd=tmp_path, env=used, capture_output=True, text=True, timeout=HANGS_S)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert done.stdout.strip(), line
        ran += 1
    assert ran >= 10


def test_every_option_and_command_that_the_readme_names_exists() -> None:
    commands = ("sample-temp", "sample-perturb", "score", "report", "explore")
    pages = {c: run_esprobe(c, "--help", env={"COLUMNS": "200"}).stdout for c in commands}
    everything = run_esprobe("--help", env={"COLUMNS": "200"}).stdout + "".join(pages.values())
    for option in set(re.findall(r"`[^`\n]*?(--[a-z][a-z-]*)", README)) - {"--help", "--exclude", "--extra-index-url", "--out"}:
        assert option in everything, option
    for name in re.findall(r"^\| `esprobe ([a-z-]+)", README, re.MULTILINE):
        assert run_esprobe(name, "--help").returncode == 0


def test_no_document_is_forgotten() -> None:
    patterns = ("*.md", ".github/**/*.md", "esprobe/**/*.md", "migrations/**/*.md", "tests/**/*.md")
    assert {str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern)} == set(PATHS)


@pytest.mark.parametrize("document", PATHS)
def test_every_file_and_module_that_a_document_names_exists(document: str) -> None:
    text = DOCUMENTS[document]
    near = ((ROOT / document).parent, ROOT, ROOT / "esprobe", ROOT / "tests")
    named = re.findall(r"`([\w./-]+(?:/|\.(?:py|sql|md|toml|txt)))`|\]\(([\w./-]+)\)", text)
    for name in {one or two for one, two in named}:
        if "NAME" not in name and not name.startswith((".venv", ".demo")):
            assert any((folder / name).exists() for folder in near), name
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert importlib.util.find_spec(module), module


def test_the_tree_of_the_readme_shows_every_room() -> None:
    shown = re.findall(r"^[├└]── (\w+(?:/|\.py))", README, re.MULTILINE)
    rooms = {f"{path.parent.name}/" for path in ROOT.glob("esprobe/*/__init__.py")}
    modules = {path.name for path in ROOT.glob("esprobe/*.py") if not path.name.startswith("__")}
    assert sorted(shown) == sorted(rooms | modules)


def test_python_lines_use_this_interpreter() -> None:
    assert all(shlex.split(line)[0] in {"make", "esprobe", "sqlite3", "python"} for line in LINES)
    assert Path(sys.executable).parent == ESPROBE.parent
