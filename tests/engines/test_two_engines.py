"""A sweep on two engines: one engine's rollouts, whatever is killed on the way, on Ray here or on a cluster."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ESPROBE, HANGS_S, Run, run_esprobe
from tests.helpers.contents import messages
from tests.helpers.midway import caught, descendants, engines_of, wait_until_gone
from tests.helpers.rollouts import Rollouts, rollouts

pytestmark = pytest.mark.usefixtures("ray")

SWEEP = ["sample-perturb", "--sigma", "0.01", "-n", "24", "--limit", "20", "--batch-size", "8"]


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Rollouts:
    """What one engine gives that nothing disturbs."""
    folder = tmp_path_factory.mktemp("quiet")
    assert run_esprobe(*SWEEP, cwd=folder).returncode == 0
    return rollouts(folder / "esprobe.db")


@contextmanager
def in_mid_sweep(folder: Path, after: int = 80) -> Iterator["subprocess.Popen[str]"]:
    """The sweep on two engines; inside the block some of its rollouts are there, and no more come."""
    started = subprocess.Popen([str(ESPROBE), *SWEEP, "--engines", "2"], cwd=folder, stderr=subprocess.PIPE, text=True)
    with caught(started, folder / "esprobe.db", after):
        yield started


def an_engine_of(started: "subprocess.Popen[str]") -> int:
    return engines_of(started.pid)[0]


@pytest.mark.parametrize("method", ["temperature", "perturbation"])
def test_two_engines_give_what_one_gives(esprobe: Run, tmp_path: Path, quiet: Rollouts, method: str) -> None:
    args = SWEEP if method == "perturbation" else ["sample-temp", "-T", "0.7", "-n", "8", "--limit", "20", "--batch-size", "32"]
    two = esprobe(*args, "--engines", "2", "--db", "two.db")
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("\n") == 1  # Ray adds nothing
    if method == "temperature":
        assert esprobe(*args, "--db", "one.db").returncode == 0
    assert rollouts(tmp_path / "two.db") == (quiet if method == "perturbation" else rollouts(tmp_path / "one.db"))


def test_an_engine_that_dies_is_replaced_and_nothing_is_lost(tmp_path: Path, quiet: Rollouts) -> None:
    with in_mid_sweep(tmp_path) as started:
        os.kill(an_engine_of(started), signal.SIGKILL)
    _, stderr = started.communicate(timeout=HANGS_S)
    assert started.returncode == 0, stderr
    assert rollouts(tmp_path / "esprobe.db") == quiet
    assert "an engine failed (its process died" in messages(tmp_path / "esprobe.db")
    assert "was replaced" in stderr


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "kill", "kill-9"])
def test_a_stopped_sweep_on_two_engines_leaves_no_process_and_continues(
    esprobe: Run, tmp_path: Path, quiet: Rollouts, sign: signal.Signals
) -> None:
    with in_mid_sweep(tmp_path) as started:
        left = set(descendants(started.pid))
        started.send_signal(sign)
    _, stderr = started.communicate(timeout=HANGS_S)
    assert started.returncode == (-9 if sign == signal.SIGKILL else 130)
    if sign != signal.SIGKILL:
        assert stderr.splitlines()[-1].startswith("error: interrupted; what was finished is kept")
    kept = rollouts(tmp_path / "esprobe.db")
    assert esprobe(*SWEEP).returncode == 0  # one engine goes on where two were stopped
    assert rollouts(tmp_path / "esprobe.db") == quiet
    assert kept.items() <= quiet.items()
    wait_until_gone(left)


def test_rays_own_death_is_one_clear_line_and_the_command_continues(esprobe: Run, tmp_path: Path, quiet: Rollouts) -> None:
    with in_mid_sweep(tmp_path) as started:
        for pid, name in descendants(started.pid).items():
            if "raylet/raylet" in name or name.startswith("ray::Remote"):
                os.kill(pid, signal.SIGKILL)
    _, stderr = started.communicate(timeout=HANGS_S)
    assert started.returncode == 1
    assert stderr.splitlines()[-1].startswith("error: Ray's own processes have died; what was finished is kept")
    assert esprobe(*SWEEP).returncode == 0
    assert rollouts(tmp_path / "esprobe.db") == quiet


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster with two cores."""
    ray = Path(sys.executable).with_name("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(ray), "start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--block"]
    head = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    assert head.stdout
    for line in head.stdout:
        if "Ray runtime started" in line:
            break
    yield f"127.0.0.1:{port}"
    head.terminate()
    head.wait(timeout=HANGS_S)


def test_engines_run_on_a_cluster_that_is_there(esprobe: Run, tmp_path: Path, quiet: Rollouts, cluster: str) -> None:
    done = esprobe(*SWEEP, "--engines", "2", "--ray-address", cluster)
    assert done.returncode == 0, done.stderr
    assert rollouts(tmp_path / "esprobe.db") == quiet
    args = ["sample-temp", "-n", "70", "--limit", "8", "--batch-size", "8", "--engines", "64", "--ray-address", cluster]
    many = esprobe(*args, env={"ESPROBE_OVERSUBSCRIBE": ""})
    assert many.returncode == 1
    assert many.stderr.splitlines()[-1].startswith("error: 64 engines need a CPU each, and there are 2; lower --engines")


def test_a_cluster_that_is_not_there_is_one_clear_line(esprobe: Run) -> None:
    done = esprobe(*SWEEP, "--ray-address", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: Ray cannot be reached or started at 127.0.0.1:1")
