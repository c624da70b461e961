"""How fast rollouts with their scores reach the disk through `Store.save`, in units of several sizes, each unit a transaction.

Beside it two floors: the same rows by bare `executemany` in one transaction without an index, and the same bytes by one `write`
and one fsync a unit. Run it with `python -m tests.benchmarks.store`; `--rollouts` for another number than 65,536.
"""

import argparse
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from esprobe.arms import Arm
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Score
from esprobe.tasks.countdown.task import Countdown
from tests.benchmarks.table import Row, in_turns, ratio, render

ROLLOUTS, PROBLEMS, UNITS, ROUNDS = 65_536, 128, (16, 128, 1024), 5
TEXT = 560  # characters of thought before the answer: about 0.6 kB a text
THOUGHTS = "".join(f"\n{a} - {b} = {a - b}, which is not what is asked for" for a in range(10, 99) for b in range(10, 40))


def rollouts(draws: Sequence[int], problem_ids: Sequence[int], rng: random.Random, rate: float = 0.1) -> Iterator[RolloutRow]:
    """Made-up rollouts, draw by draw: slices of one long text, then an answer."""
    for draw in draws:
        for problem_id in problem_ids:
            start, answer = rng.randrange(len(THOUGHTS) - TEXT), f"{rng.randint(1, 99)} + {draw}"
            text = f"{THOUGHTS[start : start + TEXT]}</think>\n<answer> {answer} </answer>"
            right = rng.random() < rate
            score = Score(right, "correct" if right else "wrong_value", answer, answer, 1.0)
            yield RolloutRow(draw, problem_id, text, 180, "stop", score)


def new_store(path: Path, problems: int) -> tuple[Store, list[int], int]:
    """An empty database with the first bundled problems: (store, their ids, a run)."""
    task, store = Countdown(), Store(path)
    made = task.bundled()[:problems]
    store.add_problems([(p, task.facts(p)) for p in made])
    return store, store.problem_ids(made), store.start_run("benchmark", {}, {})


def through_store(made: Sequence[RolloutRow], unit: int, folder: Path) -> float:
    """Rollouts per second through `Store.save`."""
    path = folder / "store.db"
    store, _, run_id = new_store(path, PROBLEMS)
    arm_id = store.arm_id(Arm("made", "digest", "temperature", 1.0))
    begun = time.perf_counter()
    for first in range(0, len(made), unit):
        store.save(arm_id, run_id, "countdown", made[first : first + unit])
    seconds = time.perf_counter() - begun
    store.close()
    path.unlink()
    return len(made) / seconds


def bare(made: Sequence[RolloutRow], folder: Path) -> float:
    """Rollouts per second of SQLite alone: two tables without key or index, one transaction, one `executemany` each."""
    path = folder / "bare.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE rollout (arm_id, draw, problem_id, run_id, tokens, prompt_tokens, finish, text);"
            "CREATE TABLE score (scorer, arm_id, draw, problem_id, correct, reason, answer, ballot, reward, expression);"
        )
        begun = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        rows = ((1, r.draw, r.problem_id, 1, r.tokens, r.prompt_tokens, r.finish, r.text) for r in made)
        connection.executemany("INSERT INTO rollout VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        scores = (("countdown", 1, r.draw, r.problem_id, *r.score) for r in made)
        connection.executemany("INSERT INTO score VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", scores)
        connection.execute("COMMIT")
        seconds = time.perf_counter() - begun
    path.unlink()
    return len(made) / seconds


def synced(made: Sequence[RolloutRow], unit: int, folder: Path) -> float:
    """Rollouts per second of a file that takes their texts and answers, with an fsync after each unit."""
    path = folder / "plain.txt"
    with path.open("wb", buffering=0) as file:
        begun = time.perf_counter()
        for first in range(0, len(made), unit):
            file.write("".join(r.text + (r.score.answer or "") for r in made[first : first + unit]).encode())
            os.fsync(file)
        seconds = time.perf_counter() - begun
    path.unlink()
    return len(made) / seconds


def rows(count: int = ROLLOUTS) -> list[Row]:
    """A row a unit size."""
    made = list(rollouts(range(count // PROBLEMS), range(1, PROBLEMS + 1), random.Random(1)))
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        works = {"bare": partial(bare, made, folder)}
        for unit in UNITS:
            works[f"save {unit}"] = partial(through_store, made, unit, folder)
            works[f"sync {unit}"] = partial(synced, made, unit, folder)
        rates = in_turns(works, ROUNDS)
    alone = statistics.median(rates["bare"])
    for unit in UNITS:
        ours, floor = rates[f"save {unit}"], statistics.median(rates[f"sync {unit}"])
        what, against = f"rollouts saved, units of {unit}", "sqlite3 executemany, one transaction, no index"
        least = f"write + fsync a unit: {floor:,.0f}/s"
        found.append(Row(what, statistics.median(ours), "/s", against, alone, ratio(ours, rates["bare"]), least))
    return found


def main() -> None:
    """Prints the rows alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=ROLLOUTS)
    print(render(rows(parser.parse_args().rollouts)))


if __name__ == "__main__":
    main()
