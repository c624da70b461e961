"""How the view `vote_at_k` and `report --select` grow: 8 arms × 125 problems × 10, 100, 1,000, … draws, rows made in SQL.

Beside the view a plain script, which reads the ballots and counts them with numpy and must come to the same votes; beside both
the least that either must do, one look at every verdict. `python -m tests.benchmarks.votes` takes a minute; with `--largest 7`,
for ten million rollouts, a quarter of an hour and 2.5 GB.
"""

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from esprobe.analysis.reading import open_database, query
from esprobe.arms import Arm
from esprobe.report import render as rendering
from tests.benchmarks import table
from tests.benchmarks.big_database import measure
from tests.benchmarks.growth import ARMS, PROBLEMS, SMALLEST, exponent
from tests.benchmarks.store import new_store
from tests.benchmarks.table import Row, in_turns, ratio, render

ROUNDS, LARGEST, ONCE_LARGEST = 5, 6, 5

VIEW, PLAIN, SCAN, SELECT = "view vote_at_k", "numpy script", "one look at every verdict", "report --select"

# Of every text, a number, comes its verdict: from 0 to 30% are right, by problem, 10% of the others have no ballot, and the rest
# of them vote for one of 50 answers, some much more often than others.
_ROLLOUTS = """
INSERT INTO rollout (arm_id, draw, problem_id, run_id, tokens, finish, text, prompt_tokens)
SELECT draw.arm_id, draw.number, problem.id, ?, 40, 'stop', abs(random()) % 1000000, 30
FROM draw JOIN problem WHERE draw.arm_id = ? ORDER BY draw.number, problem.id
"""
_SCORES = """
INSERT INTO score (scorer, arm_id, draw, problem_id, correct, reason, answer, ballot, reward, expression)
SELECT 'countdown', arm_id, draw, problem_id, correct, CASE WHEN correct THEN 'correct' ELSE 'wrong_value' END, NULL,
  CASE WHEN correct THEN 'right' WHEN number % 10 < 9 THEN (number % 50) * (number / 50 % 50) / 50 END, correct, NULL
FROM (
  SELECT arm_id, draw, problem_id, text / 1000 AS number, text % 1000 < problem_id * problem_id % 301 AS correct
  FROM rollout WHERE arm_id = ?
)
"""
_BALLOTS = "SELECT coalesce(ballot, ''), correct FROM score WHERE scorer = 'countdown' AND arm_id = ? ORDER BY problem_id, draw"


def build(path: Path, draws: int) -> None:
    """Writes the database."""
    store, _, run_id = new_store(path, PROBLEMS)
    arm_ids = [store.arm_id(Arm("made", "digest", method, value)) for method, value in ARMS]
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for line in ("PRAGMA synchronous = OFF", "PRAGMA cache_size = -2000000", "BEGIN"):
            connection.execute(line)
        for arm_id, (method, value) in zip(arm_ids, ARMS, strict=True):
            drawn = [(arm_id, i, *((8 * i + arm_id, value) if method == "perturbation" else (None, None))) for i in range(draws)]
            connection.executemany("INSERT INTO draw (arm_id, number, seed, sigma) VALUES (?, ?, ?, ?)", drawn)
            connection.execute(_ROLLOUTS, [run_id, arm_id])
            connection.execute(_SCORES, [arm_id])
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def plain_votes(path: Path) -> Iterator[tuple[int, int, float]]:
    """What a user would write: (arm, k, vote@k), the mean over problems and whole blocks of k draws, ties shared."""
    with closing(sqlite3.connect(path)) as connection:
        for (arm_id,) in connection.execute("SELECT id FROM arm ORDER BY id").fetchall():
            said, right = zip(*connection.execute(_BALLOTS, [arm_id]).fetchall(), strict=True)
            _, ballots = np.unique(np.array(said), return_inverse=True)
            votes, correct = ballots.reshape(PROBLEMS, -1), np.array(right).reshape(PROBLEMS, -1)
            silent, n = np.array(said).reshape(PROBLEMS, -1) == "", votes.shape[1]
            for k in sorted({2**i for i in range(n.bit_length())} | {n}):
                yield arm_id, k, _share(votes, correct, silent, k)


def _share(votes: np.ndarray, correct: np.ndarray, silent: np.ndarray, k: int) -> float:
    blocks = votes.shape[1] // k
    block = np.arange(PROBLEMS * blocks).repeat(k)
    vote, right, ask = (values[:, : blocks * k].ravel() for values in (votes, correct, ~silent))
    pairs, first, counts = np.unique((block * (1 + votes.max()) + vote)[ask], return_index=True, return_counts=True)
    where, wins = pairs // (1 + votes.max()), right[ask][first]
    most = np.zeros(PROBLEMS * blocks, dtype=np.int64)
    np.maximum.at(most, where, counts)
    leads = counts == most[where]
    tied, won = np.bincount(where[leads], minlength=len(most)), np.bincount(where[leads], wins[leads], minlength=len(most))
    return float(np.mean(won / np.maximum(tied, 1)))


def looked_at(path: Path, sql: str) -> tuple[float, list[tuple[Any, ...]]]:
    """(seconds, rows) of a query, in a connection of its own."""
    with closing(open_database(path)) as connection:
        begun = time.perf_counter()
        _, rows = query(connection, sql)
        return time.perf_counter() - begun, rows


def costs(path: Path, rounds: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of each operation in each round, and the most MB that `report --select` took. SystemExit if votes differ."""
    peaks: list[float] = []
    found: dict[str, dict[tuple[int, int], float]] = {}

    def view() -> float:
        seconds, rows = looked_at(path, "SELECT arm_id, k, vote_at_k FROM vote_at_k")
        found[VIEW] = {(arm, k): float(share) for arm, k, share in rows}
        return seconds

    def plain() -> float:
        begun = time.perf_counter()
        found[PLAIN] = {(arm, k): share for arm, k, share in plain_votes(path)}
        return time.perf_counter() - begun

    def select() -> float:
        seconds, peak = measure(["--db", str(path), "report", "--select"])
        peaks.append(peak)
        return seconds

    works: dict[str, Callable[[], float]] = {
        SCAN: lambda: looked_at(path, "SELECT * FROM solved")[0],
        VIEW: view,
        PLAIN: plain,
        SELECT: select,
    }
    taken = in_turns(works, rounds)
    apart = max(abs(found[VIEW][key] - share) for key, share in found[PLAIN].items())
    if found[VIEW].keys() != found[PLAIN].keys() or apart > 1e-9:
        raise SystemExit(f"votes differ by up to {apart} from those of the numpy script")
    return taken, max(peaks)


def grown(largest: int) -> list[Row]:
    """Prints every size and the exponents; a row for the view and one for `--select`, at the largest size."""
    powers = list(range(SMALLEST, largest + 1))
    sizes: list[dict[str, list[float]]] = []
    peak = 0.0
    for power in powers:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "votes.db"
            begun = time.perf_counter()
            build(path, 10**power // (len(ARMS) * PROBLEMS))
            print(f"10^{power} rollouts, {path.stat().st_size / 1e6:.0f} MB, made in {time.perf_counter() - begun:.0f} s")
            taken, peak = costs(path, ROUNDS if power <= LARGEST else 2)
            sizes.append(taken)
    lines, slopes = [], {}
    for operation in sizes[0]:
        middle = [statistics.median(taken[operation]) for taken in sizes]
        slopes[operation] = exponent(powers[-2:], middle[-2:])
        cells = [f"{statistics.median(t):.3f} ({min(t):.3f}–{max(t):.3f})" for t in (taken[operation] for taken in sizes)]
        lines.append([f"{operation}, s", *cells, f"{exponent(powers, middle):.2f}", f"{slopes[operation]:.2f}"])
    columns = ["", *(f"{10**power:,}" for power in powers), "exponent", "of the last decade"]
    print(rendering.render(columns, lines, "table"))
    last = sizes[-1]
    least = statistics.median(last[SCAN])
    made = []
    for ours, theirs, more in ((VIEW, PLAIN, f"; {SCAN}: {least:.2f} s"), (SELECT, SCAN, f"; peak {peak:.0f} MB")):
        middle, beside = statistics.median(last[ours]), statistics.median(last[theirs])
        what, noted = f"{ours}, {10**largest:,} rollouts", f"exponent {slopes[ours]:.2f}{more}"
        made.append(Row(what, middle, "s", theirs, beside, ratio(last[theirs], last[ours]), noted))
    return made


def rows() -> list[Row]:
    """Up to a million rollouts, of which the plain script and both commands see the same."""
    return grown(ONCE_LARGEST if table.ONCE else LARGEST)


def main() -> None:
    """Prints the sizes, the exponents and the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=LARGEST, choices=range(SMALLEST + 1, 8), help="as a power of ten")
    print(render(grown(parser.parse_args().largest)))


if __name__ == "__main__":
    main()
