"""One writer, then four at once, through the real store: is every rollout there exactly once, how fast, how long does one wait?

Two of the four write the same arm and the same draws, as two machines given one command would; the other two have different arms.
Run it with `python -m tests.benchmarks.writers`; `--units` is how much each writer writes. Exits with 1 if anything is lost.
"""

import argparse
import multiprocessing
import random
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from esprobe.arms import Arm
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Facts, Problem, Score
from esprobe.tasks.countdown.task import Countdown

UNIT = 128  # rollouts a transaction: one draw of so many problems
HANGS_S = 1800  # nothing that works takes so long
WRITERS = ("shared", "shared", "third", "fourth")  # the arm of each


@dataclass(frozen=True)
class Wrote:
    """What one writer did: its arm, the draws it saved, how long each `save` took."""

    arm: str
    draws: int
    waits: list[float]


def text(arm: str, draw: int, problem_id: int) -> str:
    """About 0.6 kB that nothing else in the database equals."""
    return f"{arm}, draw {draw} of problem {problem_id}: " + random.Random(f"{arm} {draw} {problem_id}").randbytes(280).hex()


def score(draw: int, problem_id: int) -> Score:
    """A verdict that depends on the rollout."""
    right = (draw * 31 + problem_id) % 7 == 0
    return Score(right, "correct" if right else "wrong_value", f"{draw} + {problem_id}", str(draw + problem_id), 1.0)


def problems() -> list[Problem]:
    """UNIT problems."""
    return [Countdown().problem({"numbers": [i + 1, 40, 7], "target": str(i)}) for i in range(UNIT)]


class Writer:
    """Saves one unit after another of one arm, as one run."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.waits: list[float] = []  # seconds, by draw
        self.store = Store(path)
        self.ids = self.store.problem_ids(problems())
        self.arm_id = self.store.arm_id(Arm("m", "d", "temperature", 0.5, {"name": name}))
        self.run_id = self.store.start_run(name, {}, {})

    def save_unit(self) -> None:
        """The next draw of every problem."""
        draw = len(self.waits)
        rows = [RolloutRow(draw, i, text(self.name, draw, i), 180, "stop", score(draw, i)) for i in self.ids]
        begun = time.perf_counter()
        self.store.save(self.arm_id, self.run_id, "countdown", rows)
        self.waits.append(time.perf_counter() - begun)

    def end(self) -> Wrote:
        """Ends the run."""
        self.store.end_run(self.run_id, "done")
        self.store.close()
        return Wrote(self.name, len(self.waits), self.waits)


def write(path: Path, name: str, units: int, together: threading.Barrier | None = None) -> Wrote:
    """Saves so many units; begins when as many others as the barrier knows are ready too."""
    writer = Writer(path, name)
    if together is not None:
        together.wait(HANGS_S)
    for _ in range(units):
        writer.save_unit()
    return writer.end()


def prepare(path: Path) -> None:
    """A database with the problems."""
    store = Store(path)
    store.add_problems([(problem, Facts(True, None, 0.1)) for problem in store.unknown_problems(problems())])
    store.close()


def stage(path: Path, names: tuple[str, ...], units: int) -> list[Wrote]:
    """So many writers at once, each a process that saves so many units; raises what any of them raises."""
    prepare(path)
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, spawn.Pool(len(names)) as pool:
        together = manager.Barrier(len(names))
        return pool.starmap(write, [(path, name, units, together) for name in names])


def lost(path: Path, wrote: list[Wrote]) -> list[str]:
    """What is wrong in the database: a rollout missing, doubled or different, another score, a broken page, an unfinished run."""
    found = []
    with closing(sqlite3.connect(path)) as connection:
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            found.append("the file is damaged")
        if connection.execute("PRAGMA foreign_key_check").fetchall():
            found.append("a row refers to none")
        if connection.execute("SELECT count(*) FROM run WHERE state <> 'done'").fetchone() != (0,):
            found.append("a run has not ended")
        ids = [i for (i,) in connection.execute("SELECT id FROM problem")]
        for name in {w.arm for w in wrote}:
            due = {(draw, i) for draw in range(max(w.draws for w in wrote if w.arm == name)) for i in ids}
            rows = connection.execute(
                "SELECT r.draw, r.problem_id, text, correct, reason, answer FROM arm JOIN rollout AS r ON r.arm_id = arm.id "
                "LEFT JOIN score AS s ON s.scorer = 'countdown' AND s.arm_id = r.arm_id AND s.problem_id = r.problem_id "
                "AND s.draw = r.draw WHERE json_extract(settings, '$.name') = ?",
                [name],
            )
            for draw, i, said, *verdict in rows:
                right = score(draw, i)
                if (draw, i) not in due:
                    found.append(f"{name}: draw {draw} of problem {i} is there twice or was never written")
                elif said != text(name, draw, i) or verdict != [right.correct, right.reason, right.answer]:
                    found.append(f"{name}: draw {draw} of problem {i} has another text or score")
                due.discard((draw, i))
            found += [f"{name}: draw {draw} of problem {i} is missing" for draw, i in sorted(due)]
    return found


def main() -> int:
    """Prints both stages; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=2000, help=f"transactions of each writer, of {UNIT} rollouts each")
    units = parser.parse_args().units
    wrong = []
    for names in (("alone",), WRITERS):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "r.db"
            wrote = stage(path, names, units)
            wrong += lost(path, wrote)
            saved, seconds = sum(w.draws for w in wrote), max(sum(w.waits) for w in wrote)
            waits = sorted(wait * 1e3 for w in wrote for wait in w.waits)
            half, most = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
            print(
                f"writers: {len(names)}; {saved * UNIT / seconds:,.0f} rollouts/s in {saved:,} transactions; "
                f"a save takes {half:.0f} ms, 99% of them at most {most:.0f} ms, the longest {waits[-1]:,.0f} ms"
            )
    print("\n".join(wrong[:20]) or "every rollout is there exactly once, with its text and score")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
