"""Limits that a sweep runs into: memory, what float16 can hold, and the model's context. Each rollout is right or says so."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from esprobe.engines.models import find_model
from tests.conftest import ESPROBE, HANGS_S, Run
from tests.helpers.contents import messages
from tests.helpers.midway import count
from tests.helpers.pieces import MODEL
from tests.helpers.rollouts import rollouts

MEMORY = """
import resource
from pathlib import Path
from esprobe.arms import BASE
from esprobe.engines.backend import Decoding
from esprobe.engines.engine import Batch, Engine
from tests.helpers.pieces import PROMPTS, SPEC
engine, batch = Engine(SPEC), Batch(BASE, PROMPTS * 128, Decoding(24))
free = engine.run(Batch(BASE, PROMPTS, Decoding(24))).generations * 128
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 150 * 2**20, resource.RLIM_INFINITY))
done = engine.run(batch)
assert not {*done.notes} & {*engine.run(batch).notes}  # what did not fit is not tried again
assert done.generations == free
print(*done.notes, sep="\\n")
"""


def test_a_batch_that_does_not_fit_into_memory_is_halved_and_says_so() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANGS_S,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "out of memory at 2048 rollouts together: from now on 1024"


def test_a_sweep_short_of_memory_finishes_and_its_run_says_so(tmp_path: Path, esprobe: Run) -> None:
    args = ["sample-temp", "-T", "0.7", "-n", "64", "--limit", "64", "--max-new-tokens", "24", "--no-greedy"]
    short = subprocess.run(
        [str(ESPROBE), *args, "--batch-size", "4096", "--db", "short.db"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (1200 << 20, resource.RLIM_INFINITY)),
        capture_output=True,
        text=True,
        timeout=HANGS_S,
    )
    assert short.returncode == 0, short.stderr
    assert "out of memory at 4096 rollouts together: from now on 2048" in messages(tmp_path / "short.db")
    assert "out of memory at 4096 rollouts together" in short.stderr
    assert esprobe(*args).returncode == 0
    assert rollouts(tmp_path / "short.db") == rollouts(tmp_path / "esprobe.db")


def test_noise_that_overflows_float16_gives_rollouts_that_say_so(esprobe: Run, tmp_path: Path) -> None:
    args = ["--sigma", "900", "-n", "3", "--limit", "4", "--no-greedy", "--dtype", "float16", "--max-new-tokens", "8"]
    assert esprobe("sample-perturb", *args).stdout.startswith("12 of 12")
    assert {finish for _, _, finish in rollouts(tmp_path / "esprobe.db").values()} == {"nan"}
    assert esprobe("sample-perturb", *args).stdout.startswith("0 of 12")
    assert esprobe("report").returncode == 0


def with_context(folder: Path, length: int) -> Path:
    shutil.copytree(MODEL.folder, folder)
    config = folder / "config.json"
    config.write_text(
        config.read_text().replace(f'"max_position_embeddings": {MODEL.context_length()}', f'"max_position_embeddings": {length}')
    )
    assert find_model(str(folder)).context_length() == length
    return folder


def test_a_context_that_overflows_cuts_the_rollout_and_a_prompt_that_does_not_fit_is_refused_first(
    esprobe: Run, tmp_path: Path
) -> None:
    args = ["sample-temp", "-T", "0.5", "-n", "1", "--limit", "8"]
    assert esprobe(*args, "--model", with_context(tmp_path / "short", 32)).returncode == 0
    assert {finish for _, _, finish in rollouts(tmp_path / "esprobe.db").values()} == {"length"}
    refused = esprobe(*args, "--model", with_context(tmp_path / "tiny", 20), "--db", "refused.db")
    assert refused.returncode == 1
    assert "tokens, but model" in refused.stderr.splitlines()[-1]
    assert count(tmp_path / "refused.db") == 0
