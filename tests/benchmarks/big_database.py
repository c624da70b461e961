"""Reports and the page of `explore` as whole commands on 786,432 rollouts: 12 arms × 128 problems × 512 draws.

And how soon the page answers in a browser. Run it with `python -m tests.benchmarks.big_database`; `--keep FILE` keeps the
database and uses it again.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from esprobe.analysis.reading import open_database, query
from esprobe.arms import Arm, perturbation_seed
from esprobe.methods import MethodName
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Score
from esprobe.tasks.countdown.task import Countdown
from tests.benchmarks.table import Row, in_turns, ratio, render

PROBLEMS, DRAWS, ROUNDS = 128, 512, 5
ARMS: list[tuple[MethodName, float, float]] = [  # method, value, how well it does; shares as in the study, and better ones
    *(("temperature", t, rate) for t, rate in [(0.05, 0.2), (0.1, 0.15), (0.2, 0.1), (0.4, 0.05), (0.6, 0.02), (0.8, 0.004)]),
    ("temperature", 1.0, 0.002),
    *(("perturbation", s, rate) for s, rate in [(0.0005, 0.2), (0.001, 0.1), (0.003, 0.003), (0.005, 0.0), (0.01, 0.0)]),
]


def build(path: Path, problems: int = PROBLEMS, draws: int = DRAWS) -> None:
    """Writes the database: texts of about 0.6 kB, problems of unequal difficulty, perturbed models of unequal quality."""
    rng, task, store = random.Random(1), Countdown(), Store(path)
    made = task.bundled()[:problems]
    store.add_problems([(p, task.facts(p)) for p in made])
    ids = store.problem_ids(made)
    run_id = store.start_run("big_database", {}, {})
    words = random.Random(2)
    line = "I try {} + {} = {}, which is not what is asked for, so the next attempt is another one.\n"
    thoughts = ["".join(line.format(words.randint(1, 99), words.randint(1, 99), i) for i in range(6)) for _ in range(500)]

    def rollout(draw: int, problem_id: int, right: bool) -> RolloutRow:
        answer = f"{words.randint(1, 40)} + {words.randint(1, 40)}"
        text = f"{words.choice(thoughts)}</think>\n<answer> {answer} </answer>"
        score = Score(
            right, "correct" if right else "wrong_value", answer, "98" if right else str(words.randint(1, 97)), right / 1.1
        )
        return RolloutRow(draw, problem_id, text, 180, "stop", score)

    for method, value, rate in ARMS:
        arm_id = store.arm_id(Arm("big", "digest", method, value))
        skill = [rng.betavariate(0.3, 0.3 * (1 - rate) / rate) if rate else 0.0 for _ in ids]
        seeds = {draw: perturbation_seed("iid", 42, draw) for draw in range(draws)} if method == "perturbation" else None
        for first in range(0, draws, 64):
            rows = []
            for draw in range(first, min(draws, first + 64)):
                luck = rng.uniform(0.5, 1.5) if method == "perturbation" else 1.0
                rows += [rollout(draw, i, rng.random() < luck * p) for i, p in zip(ids, skill, strict=True)]
            store.save(arm_id, run_id, "countdown", rows, seeds)
    store.close()


# In a separate small process, since a spawned process's peak memory begins with that of the one it was spawned from.
_SPAWN = """
import os, sys, time
begun = time.perf_counter()
silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ, file_actions=silent)
_, status, usage = os.wait4(pid, 0)
print(status, time.perf_counter() - begun, usage.ru_maxrss)
"""


def measure(words: list[str]) -> tuple[float, float]:
    """(seconds, peak MB) of one whole command, its Python start included."""
    spawned = [sys.executable, "-S", "-c", _SPAWN, "-m", "esprobe", *words]
    status, seconds, peak = subprocess.run(spawned, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    if status != "0":
        raise SystemExit(f"esprobe {' '.join(words)} failed")
    return float(seconds), float(peak) / (1e6 if sys.platform == "darwin" else 1024)


def interactive(page: Path) -> str:
    """Seconds from opening the file in Chromium to a page that answers, to the list of problems, and to a problem's rollouts."""
    try:
        from tests.browser.conftest import chromium
    except ImportError as error:
        return f"not measured: {error}"
    with chromium() as browser:
        tab = browser.new_page()
        begun = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready=true]")
        ready = time.perf_counter()
        tab.click("#view-problems")
        tab.wait_for_selector("#rows tr:nth-child(5)")
        listed = time.perf_counter()
        tab.click("#rows tr:nth-child(5)")
        tab.wait_for_selector("#detail article pre")
        opened = time.perf_counter() - listed
        return f"{ready - begun:.2f} s to interactive, {listed - ready:.2f} s to the problems, {opened:.2f} s to open one"


def rows(keep: Path | None = None) -> list[Row]:
    """A row per command and one for the view `pass_at_k`, compared with the least that each must do: count every score once."""
    found, rollouts = [], len(ARMS) * PROBLEMS * DRAWS
    with tempfile.TemporaryDirectory() as folder:
        path = keep or Path(folder) / "big.db"
        if not path.exists():
            begun = time.perf_counter()
            build(path)
            seconds = time.perf_counter() - begun
            print(f"{rollouts:,} rollouts, {path.stat().st_size / 1e6:.0f} MB, made in {seconds:.0f} s")
        page = Path(folder) / "big.html"
        peak: dict[str, float] = {}

        def command(*words: str) -> float:
            name = f"esprobe {' '.join(words[:2])}"
            seconds, mb = measure(["--db", str(path), *words])
            peak[name] = max(mb, peak.get(name, 0.0))
            return seconds

        def view(name: str) -> float:
            with closing(open_database(path)) as connection:
                begun = time.perf_counter()
                query(connection, f"SELECT * FROM {name}")
                return time.perf_counter() - begun

        works: dict[str, Callable[[], float]] = {
            "view solved": lambda: view("solved"),
            "view pass_at_k": lambda: view("pass_at_k"),
            "esprobe report": lambda: command("report"),
            "esprobe report --compare": lambda: command("report", "--compare"),
            "esprobe report --select": lambda: command("report", "--select"),
            "esprobe explore --out": lambda: command("explore", "--out", str(page)),
        }
        taken = in_turns(works, ROUNDS)
        least = taken.pop("view solved")
        for name, seconds in taken.items():
            what = f"{name}, {rollouts:,} rollouts"
            memory = f"peak {peak[name]:.0f} MB" if name in peak else ""
            counted = statistics.median(least)
            found.append(Row(what, statistics.median(seconds), "s", "view solved", counted, ratio(least, seconds), memory))
        print(f"the page: {page.stat().st_size / 1e6:.1f} MB, {interactive(page)}")
    return found


def main() -> None:
    """Prints the rows alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="keep the database in this file")
    print(render(rows(parser.parse_args().keep)))


if __name__ == "__main__":
    main()
