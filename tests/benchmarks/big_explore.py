"""`esprobe explore` on 786,432 rollouts (12 arms × 128 problems × 512 draws): seconds, memory, megabytes, seconds to interactive.

Run it with `python -m tests.benchmarks.big_explore [DATABASE]`; a database that is there already is used as it is.
"""

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from esprobe.arms import Arm, perturbation_seeds
from esprobe.countdown.task import Countdown
from esprobe.scoring import Score
from esprobe.store import RolloutRow, Store
from esprobe.task import Facts

ARMS = [("temperature", 0.2 * i) for i in range(1, 7)] + [("perturbation", 0.001 * i) for i in range(1, 7)]
DRAWS = 512
LINE = "I try {a} + {b} = {c}, which is not what is asked for, so the next attempt is another one.\n"


def fill(path: Path) -> None:
    """Makes the database, with about 600 characters a text."""
    store, task, rng = Store(path), Countdown(), random.Random(4)
    problems = task.bundled()
    store.add_problems([(problem, Facts(True, "1 + 1", 0.5 ** rng.randint(3, 10))) for problem in problems])
    ids = store.problem_ids(problems)
    run_id = store.start_run("a benchmark", {}, {})
    skill = {problem_id: rng.betavariate(0.5, 1.5) for problem_id in ids}
    reasoning = ["".join(LINE.format(a=rng.randint(1, 99), b=rng.randint(1, 99), c=i) for i in range(6)) for _ in range(500)]
    for method, value in ARMS:
        arm_id = store.arm_id(Arm("synthetic", "d", method, value))  # type: ignore[arg-type]
        seeds = dict(enumerate(perturbation_seeds("iid", 42, DRAWS))) if method == "perturbation" else None
        for begin in range(0, DRAWS, 64):
            rows = []
            for draw in range(begin, begin + 64):
                for problem_id in ids:
                    right = rng.random() < skill[problem_id] / 4
                    answer = f"{rng.randint(1, 40)} + {rng.randint(1, 40)}"
                    text = f"{rng.choice(reasoning)}</think>\n<answer> {answer} </answer>"
                    score = Score(right, "correct" if right else "wrong_value", answer, 1.0 if right else 0.1)
                    rows.append(RolloutRow(draw, problem_id, text, 160, "stop", score))
            store.save(arm_id, run_id, "countdown", rows, seeds)
    store.end_run(run_id, "done")
    store.close()


def interactive(page: Path) -> str:
    """Seconds from opening the file in Chromium to a page that answers, and from a click on a problem to its rollouts."""
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
        tab.click("#rows tr:nth-child(5)")
        tab.wait_for_selector("#detail article pre")
        return f"{ready - begun:.2f} s to interactive, {time.perf_counter() - ready:.2f} s to open a problem"


def main() -> None:
    """Prints one line a figure."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder, "big.db")
        if not database.exists():
            begun = time.perf_counter()
            fill(database)
            print(f"database  {database.stat().st_size / 1e6:.0f} MB, made in {time.perf_counter() - begun:.0f} s", flush=True)
        page = Path(folder, "big.html")
        begun = time.perf_counter()
        command = [sys.executable, "-m", "esprobe", "--db", str(database), "explore", "--out", str(page)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - begun
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"command   {seconds:.2f} s, {memory:.0f} MB of memory at most")
        print(f"file      {page.stat().st_size / 1e6:.2f} MB ({done.stdout.strip().split(' with ')[-1]})")
        print(f"browser   {interactive(page)}")


if __name__ == "__main__":
    main()
