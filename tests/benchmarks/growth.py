"""What a results database costs as it grows: bytes on disk, and the time to write it, read each view, report, go on, and merge.

Sizes are powers of ten: 8 arms × 125 problems × 10, 100, 1,000, … draws. Prints seconds and the exponent of each growth, 1 for
linear, and draws them. `python -m tests.benchmarks.growth` takes 90 s and 2.5 GB; with `--largest 7`, 20 minutes and 25 GB.
"""

import argparse
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from math import log10
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter

from esprobe.analysis.reading import open_database, query
from esprobe.arms import Arm, perturbation_seed
from esprobe.methods import MethodName
from esprobe.report import render
from esprobe.report.plots import style
from esprobe.store.merge import merge
from tests.benchmarks.store import new_store, rollouts
from tests.benchmarks.table import Row, ratio
from tests.helpers.made import honest
from tests.helpers.wired import report

PROBLEMS = 125
ARMS: list[tuple[MethodName, float]] = [("temperature", t) for t in (0.4, 0.6, 0.8, 1.0)]
ARMS += [("perturbation", s) for s in (0.001, 0.003, 0.01, 0.02)]
VIEWS = ("solved", "pass_at_k", "arm_summary", "draw_accuracy", "cover_at_tau")
SMALLEST, LARGEST = 4, 6
PICTURE = Path(".bench/growth.png")


@dataclass
class Costs:
    """Of one size: by operation, seconds on the clock and of the CPU; and bytes."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    bytes: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @contextmanager
    def timed(self, operation: str) -> Iterator[None]:
        """Adds what happens inside to the operation's time."""
        clock, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds[operation] += time.perf_counter() - clock
        self.cpu[operation] += time.process_time() - cpu


def costs(power: int, folder: Path) -> Costs:
    """Of a database of 10^power rollouts, which is made in the folder and removed again."""
    path, draws = folder / "grown.db", 10**power // (len(ARMS) * PROBLEMS)
    found = Costs()
    store, ids, run_id = new_store(path, PROBLEMS)
    rng, arm_ids = random.Random(power), []
    for method, value in ARMS:
        settings = {"seed": 42, "noise": "iid", "seeds": "53 bits"} if method == "perturbation" else {}
        arm_ids.append(store.arm_id(Arm("made", "digest", method, value, settings)))
        seeds = {draw: perturbation_seed("iid", 42, draw) for draw in range(draws)} if method == "perturbation" else None
        for draw in range(draws):
            unit = list(rollouts([draw], ids, rng, rate=rng.uniform(0, 0.2)))
            found.bytes["texts"] += sum(len(r.text) for r in unit)  # they are ASCII
            with found.timed("save"):
                store.save(arm_ids[-1], run_id, "countdown", unit, seeds)
    with found.timed("what is done"):
        for arm_id in arm_ids:
            store.done(arm_id)
    store.close()
    found.bytes["database"] = path.stat().st_size
    with closing(open_database(path)) as connection:
        for view in VIEWS:
            with found.timed(view):
                query(connection, f"SELECT * FROM {view}")
    with found.timed("report"):
        report(path)
    honest(path)  # since a merge takes no verdict that its scorer does not give
    other = folder / "merged.db"
    for operation in ("merge", "merge again"):
        with found.timed(operation):
            merge(path, other)
    for file in (path, other):
        file.unlink()
    return found


def exponent(powers: Sequence[int], values: Sequence[float]) -> float:
    """The slope of the straight line through log10 of the values, by least squares."""
    slope: float = np.polyfit(powers, np.log10(np.maximum(values, 1e-9)), 1)[0]
    return slope


def measure(largest: int, picture: Path) -> list[Row]:
    """Prints every size and the exponents, draws them, and returns a row for each operation at the largest size."""
    powers = list(range(SMALLEST, largest + 1))
    with tempfile.TemporaryDirectory() as folder:
        sizes = [costs(power, Path(folder)) for power in powers]
    columns = ["", *(f"{10**power:,}" for power in powers), "exponent", "of the last decade", "CPU's exponent"]
    lines, rows = [], []
    for operation in sizes[0].seconds:
        seconds, cpu = [s.seconds[operation] for s in sizes], [s.cpu[operation] for s in sizes]
        slopes = [exponent(powers, seconds), exponent(powers[-2:], seconds[-2:]), exponent(powers, cpu)]
        lines.append([f"{operation}, s", *(f"{t:.3f}" for t in seconds), *(f"{slope:.2f}" for slope in slopes)])
        what, linear = f"{operation}, {10**largest:,} rollouts", 10 * seconds[-2]
        beside = f"ten times that of {10 ** (largest - 1):,}"
        rows.append(Row(what, seconds[-1], "s", beside, linear, ratio([linear], seconds[-1:])))
    for kind in ("database", "texts"):
        held = [s.bytes[kind] for s in sizes]
        slopes = [exponent(powers, held), exponent(powers[-2:], held[-2:])]
        lines.append([f"{kind}, MB", *(f"{b / 1e6:.1f}" for b in held), *(f"{slope:.2f}" for slope in slopes), ""])
    database, texts = sizes[-1].bytes["database"] / 1e6, sizes[-1].bytes["texts"] / 1e6
    what = f"database of {10**largest:,} rollouts"
    rows.append(Row(what, database, "MB", "its texts alone", texts, ratio([texts], [database])))
    print(render.render(columns, lines, "table"))
    draw(powers, sizes, picture)
    print(f"drawn in {picture}")
    return rows


def draw(powers: Sequence[int], sizes: Sequence[Costs], picture: Path) -> None:
    """Seconds to write and to read, and bytes, against the number of rollouts; next to each curve its name and exponent."""
    writing = ("save", "what is done", "merge", "merge again")
    panels: list[tuple[str, dict[str, list[float]]]] = [
        ("writing, seconds", {name: [s.seconds[name] for s in sizes] for name in writing}),
        ("reading, seconds", {name: [s.seconds[name] for s in sizes] for name in (*VIEWS, "report")}),
        ("megabytes", {name: [s.bytes[name] / 1e6 for s in sizes] for name in ("database", "texts")}),
    ]
    with style.applied():
        made = Figure(figsize=(12, 4.6), layout="constrained")
        made.suptitle("What a results database costs as it grows; the number is the exponent, grey is linear", x=0.01, ha="left")
        for axes, (title, curves) in zip(made.subplots(1, len(panels)), panels, strict=True):
            _panel(axes, powers, curves)
            axes.set_title(title, loc="left", fontsize=9)
        picture.parent.mkdir(parents=True, exist_ok=True)
        made.savefig(picture, dpi=150)


def _panel(axes: Axes, powers: Sequence[int], curves: Mapping[str, Sequence[float]]) -> None:
    xs = [10.0**power for power in powers]
    axes.set(xscale="log", yscale="log", xlabel="rollouts")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    for colour, (name, values) in zip(colours, curves.items(), strict=False):
        axes.plot(xs, values, marker="o", color=colour, label=name)
    low, high = axes.get_ylim()
    for start in range(-12, 12):
        axes.plot(xs, [10.0 ** (start + power) for power in powers], color=style.LIGHT, linewidth=0.8, zorder=0)
    axes.set_ylim(low, high := high * (high / low) ** 0.03)  # room for a label above the highest end
    axes.grid(visible=False)
    gap = log10(high / low) / 20
    at = -99.0
    ordered = sorted(zip(colours, curves.items(), strict=False), key=lambda c: c[1][1][-1])
    for colour, (name, values) in ordered:  # from the lowest, each label at its curve's end or just above the one before
        at = max(log10(values[-1]), at + gap)
        axes.annotate(
            f"{name} {exponent(powers, values):.2f}",
            (xs[-1], 10**at),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=8,
            annotation_clip=False,
        )


def rows() -> list[Row]:
    """Up to a million rollouts."""
    return measure(LARGEST, PICTURE)


def main() -> None:
    """Prints the sizes and the exponents, and draws them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=LARGEST, choices=range(SMALLEST + 1, 9), help="as a power of ten")
    parser.add_argument("--plot", type=Path, default=PICTURE, help="the picture, a PNG")
    chosen = parser.parse_args()
    measure(chosen.largest, chosen.plot)


if __name__ == "__main__":
    main()
