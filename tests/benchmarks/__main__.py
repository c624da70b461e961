"""`python -m tests.benchmarks`: every benchmark in turn, and one table of all at the end; `--markdown` for the README.

`--once` shows that they run: a round of each, and few simulations.

A new benchmark is a module with `rows()` and one more name here.
"""

import argparse
import sys
import time
from importlib import import_module

from tests.benchmarks import coverage, table
from tests.benchmarks.table import Row, render

MODULES = ("sampling", "training", "startup", "store", "growth", "votes", "big_database", "scorer", "noise", "bench_gpu_noise")


def main() -> None:
    """Prints the simulated coverage of the intervals, which is a separate table, then the table of all the others."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument("--once", action="store_true", help="a round of each, to show that they run; the figures say little")
    asked = parser.parse_args()
    style = "markdown" if asked.markdown else "table"
    table.ONCE = asked.once
    if asked.once:
        coverage.main(rounds=20)
    else:
        coverage.main()
    rows: list[Row] = []
    for name in MODULES:
        begun = time.perf_counter()
        rows += import_module(f"tests.benchmarks.{name}").rows()
        print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    print("\n" + render(rows, style))


if __name__ == "__main__":
    main()
