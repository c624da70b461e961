"""A database to merge, with every kind of arm, scored, and copies of it that another has changed."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.arms import Arm, recorded_seed
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.countdown.task import Countdown

TASK = Countdown()
PROBLEMS = [TASK.problem({"numbers": [n, n + 1, 3], "target": str(2 * n + 4)}) for n in range(10, 13)]
SIX = TASK.problem({"numbers": [1, 2, 3, 4, 5, 6], "target": "21", "solution": "1+2+3+4+5+6"})  # too many to be enumerated
ARMS = [
    Arm("m", "d", "greedy", None, {"task": "countdown"}),
    Arm("m", "d", "temperature", 0.5, {"task": "countdown", "seed": 42}),
    Arm("m", "d", "perturbation", 0.01, {"task": "countdown", "seed": 42, "noise": "iid"}),
    Arm("m", "d", "perturbation", 0.01, {"task": "countdown", "seed": 42, "noise": "shared-seed"}),
]

Altered = Callable[[str], Path]


def database(path: Path) -> Path:
    """Every arm with two draws of every problem, scored, with prompts and prompt lengths."""
    store = Store(path)
    problems = [*PROBLEMS, SIX]
    store.add_problems([(problem, TASK.facts(problem)) for problem in problems])
    ids = store.problem_ids(problems)
    run = store.start_run("made by a test", {}, {})
    for arm in ARMS:
        arm_id = store.arm_id(arm)
        rows = []
        for draw in range(2):
            for problem, i in zip(problems, ids, strict=True):
                text = f"draw {draw}</think>\n<answer>{'+'.join(map(str, problem.payload['numbers']))}</answer>"
                rows.append(
                    RolloutRow(draw, i, text, 9, "stop", TASK.scorers["countdown"](problem.payload, text), prompt_tokens=30)
                )
        seeds = {draw: recorded_seed(arm.settings, draw) or 0 for draw in range(2)} if arm.method == "perturbation" else None
        store.save(arm_id, run, "countdown", rows, seeds)
        store.add_prompts(arm_id, dict.fromkeys(ids, f"{arm_id:032x}"))
    store.end_run(run, "done")
    store.close()
    return path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return database(tmp_path_factory.mktemp("made") / "made.db")


@pytest.fixture
def other(made: Path, tmp_path: Path) -> Altered:
    """A copy that an SQL script has changed."""

    def altered(sql: str) -> Path:
        path = Path(shutil.copy(made, tmp_path / "other.db"))
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"PRAGMA foreign_keys = OFF; {sql}")
        return path

    return altered
