"""Every command line of the documents runs, in its order, as it is typed; only how much it samples is turned down."""

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
# one after the other in one folder: what the README's commands leave there, those of the others may use
OTHERS = ("migrations/README.md", "esprobe/bundled/README.md", "tests/README.md", ".github/CONTRIBUTING.md")
DOCUMENTS = "\n".join([README, *((ROOT / path).read_text() for path in OTHERS)])
LINES = [line for block in re.findall(r"```sh\n(.*?)```", DOCUMENTS, re.DOTALL) for line in block.strip().splitlines()]
SMALLER = {
    "ESPROBE_SAMPLES": "2",
    "ESPROBE_PERTURBATIONS": "2",
    "ESPROBE_TINY_STEPS": "100",
    # the preset's own model is not at hand
    "ESPROBE_MODEL": "countdown-tiny",
    "ESPROBE_MAX_NEW_TOKENS": "48",
    "ESPROBE_DTYPE": "float32",
}


@pytest.mark.parametrize("target", sorted({line.split()[1] for line in LINES if line.startswith("make ")}))
def test_make_targets_of_the_documents_are_run_by_ci(target: str) -> None:
    # run there whole, from a fresh clone; a test that ran `make test` would never end
    assert re.search(rf"^make {target}\b", (ROOT / ".ci/run").read_text(), re.MULTILINE)


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
        done = subprocess.run(line, shell=True, cwd=tmp_path, env=used, capture_output=True, text=True, timeout=HANGS_S)
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


def test_python_lines_use_this_interpreter() -> None:
    assert all(shlex.split(line)[0] in {"make", "esprobe", "sqlite3", "python"} for line in LINES)
    assert Path(sys.executable).parent == ESPROBE.parent
