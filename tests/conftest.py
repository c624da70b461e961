"""What tests share: the installed command, the published problems where a user has them, a small sweep's database."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.helpers.trained import commands

PUBLISHED = Path(os.environ.get("ESPROBE_PUBLISHED", Path(__file__).parents[2] / "shared/data/countdown.json"))
ESPROBE = Path(sys.executable).with_name("esprobe")
os.environ.setdefault("ESPROBE_OVERSUBSCRIBE", "1")  # tests with two engines run on a machine with one core too

HANGS_S = 1800  # a process or page that takes longer hangs; nothing that works does, however busy the machine

# how long an example takes, or takes to be made, is the machine's business
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

LONGEST = "test_the_commands_of_the_documents_run_as_typed"  # minutes, while the other worker would have nothing left to do


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test comes first; all others keep their order."""
    items.sort(key=lambda item: item.name != LONGEST)


Run = Callable[..., subprocess.CompletedProcess[str]]


def lacking(what: str) -> NoReturn:
    """Skips a test on a user's machine that lacks something; in CI nothing may be lacking."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needs {what}")
    pytest.skip(f"needs {what}")


def needs(*command: str) -> None:
    """Goes on only where the program is installed and may do this."""
    if shutil.which(command[0]) is None or subprocess.run(command, capture_output=True).returncode:
        lacking(f"{command[0]} and the right to use it")


@pytest.fixture(scope="session")
def published() -> Path:
    """The published data file, which is not ours to ship."""
    if not PUBLISHED.exists():
        lacking(f"the published countdown.json, named by ESPROBE_PUBLISHED; there is no {PUBLISHED}")
    return PUBLISHED


def run_esprobe(*args: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the installed command as a user would."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ESPROBE_")}
    return subprocess.run(
        [str(ESPROBE), *map(str, args)],
        cwd=cwd,
        env=clean | {"HF_HUB_OFFLINE": "1", "ESPROBE_OVERSUBSCRIBE": "1"} | (env or {}),
        capture_output=True,
        text=True,
        timeout=HANGS_S,
    )


@pytest.fixture
def esprobe(tmp_path: Path) -> Run:
    """The installed command, run in an empty folder."""

    def run(*args: object, cwd: Path = tmp_path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return run_esprobe(*args, cwd=cwd, env=env)

    return run


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with greedy, two temperature and two perturbation arms over 12 problems; read it, do not change it."""
    folder = tmp_path_factory.mktemp("swept")
    for command in (
        ["sample-temp", "-T", "0.6", "-T", "1.2", "-n", "6"],
        ["sample-perturb", "--sigma", "0.01", "--sigma", "0.02", "-n", "6"],
    ):
        done = run_esprobe(*command, "--limit", "12", cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder / "esprobe.db"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database of a small training and its base, and the files of problems; read them, do not change them."""
    folder = tmp_path_factory.mktemp("trained")
    for command in commands(folder):
        done = run_esprobe(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder
