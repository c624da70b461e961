"""How long commands take to start, as typed in a shell, and until the first rollout of `sample-temp` is in a new database.

Beside them what no Python program, or none that loads torch and transformers, can avoid. Run it with
`python -m tests.benchmarks.startup`.
"""

import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from tests.benchmarks.table import Row, in_turns, ratio, render

ESPROBE = str(Path(sys.executable).with_name("esprobe"))
ROUNDS = 5
TRANSFORMERS = "import torch, transformers; from transformers import AutoModelForCausalLM"
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1"}


def whole(folder: Path, *words: str) -> float:
    """Seconds of a whole command."""
    begun = time.perf_counter()
    subprocess.run(words, cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def first_rollout() -> float:
    """Seconds from typing `esprobe sample-temp` in an empty folder until another process can read its first unit of rollouts."""
    with tempfile.TemporaryDirectory() as name:
        begun = time.perf_counter()
        process = subprocess.Popen([ESPROBE, "--quiet", "sample-temp"], cwd=name, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        while not rollouts(Path(name) / "esprobe.db"):
            if process.poll() is not None:
                raise SystemExit("esprobe sample-temp ended without a rollout")
            time.sleep(0.02)
        seconds = time.perf_counter() - begun
        process.send_signal(signal.SIGINT)
        process.wait()
    return seconds


def rollouts(path: Path) -> int:
    """How many there are; none yet in a database that is still being made."""
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM rollout").fetchone()[0])
    except sqlite3.OperationalError:  # no such table, or locked
        return 0


def rows() -> list[Row]:
    """A row a command."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole(folder, ESPROBE, "--quiet", "sample-temp", "-T", "0.8", "-n", "2", "--limit", "4")
        python = partial(whole, folder, sys.executable, "-c")
        works = {
            "python -c pass": partial(python, "pass"),
            "import typer": partial(python, "import typer"),
            "import rich.table, sqlite3": partial(python, "import rich.table, sqlite3"),
            "import torch": partial(python, "import torch"),
            "import torch and transformers": partial(python, TRANSFORMERS),
            "esprobe --help": partial(whole, folder, ESPROBE, "--help"),
            "esprobe report, 12 rollouts": partial(whole, folder, ESPROBE, "report"),
            "esprobe sample-temp, first rollout": first_rollout,
        }
        first_rollout()  # once unmeasured, so that every file is in memory
        taken = in_turns(works, ROUNDS)
    median = {name: statistics.median(seconds) for name, seconds in taken.items()}
    least = f"python -c pass: {median['python -c pass']:.3f} s"
    torch = f"import torch: {median['import torch']:.2f} s"
    return [
        Row(name, median[name], "s", beside, median[beside], ratio(taken[beside], taken[name]), floor)
        for name, beside, floor in (
            ("esprobe --help", "import typer", least),
            ("esprobe report, 12 rollouts", "import rich.table, sqlite3", least),
            ("esprobe sample-temp, first rollout", "import torch and transformers", torch),
        )
    ]


def main() -> None:
    """Prints the rows alone."""
    print(render(rows()))


if __name__ == "__main__":
    main()
