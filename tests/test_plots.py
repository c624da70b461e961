"""Every plot is drawn, or said to be skipped, whatever arms there are; what it shows equals SQL; its words stand in the SVG."""

import random
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest

from esprobe import reading
from esprobe.arms import Arm
from esprobe.countdown.task import Countdown
from esprobe.errors import UserError
from esprobe.plots import PLOTS, save_plots
from esprobe.plots.data import count_bins, count_shares, coverage_and_depth, estimate, load_groups, overlap
from esprobe.report import Filter, load_arms
from esprobe.scoring import Score
from esprobe.store import RolloutRow, Store
from esprobe.task import Facts
from tests.conftest import Run

WRONG = Score(False, "wrong_value", "1", 0.0)
RIGHT = Score(True, "correct", "1", 1.0)
TASK = Countdown()


@dataclass(frozen=True)
class Made:
    """An arm to make: `rate` is the probability of a correct draw on an easy problem; harder ones have less."""

    method: str
    value: float | None
    draws: int
    rate: float = 0.3
    model: str = "countdown-tiny"
    settings: tuple[tuple[str, object], ...] = ()
    problems: range | None = None


def make(path: Path, arms: Sequence[Made], problems: int = 40) -> Path:
    """A database of such arms; every 20th problem but the first is impossible."""
    rng, store = random.Random(1), Store(path)
    asked = [TASK.problem({"numbers": [3, i + 1], "target": str(i)}) for i in range(problems)]
    solvable = [i % 20 != 19 for i in range(problems)]
    store.add_problems([(p, Facts(s, None, 0.03 * s)) for p, s in zip(asked, solvable, strict=True)])
    ids = store.problem_ids(asked)
    run_id = store.start_run("made by a test", {}, {})
    for arm in arms:
        rows = []
        for i in arm.problems or range(problems):
            p = arm.rate * solvable[i] * (1 - (i / problems) ** 0.5) * 1.6
            rows += [RolloutRow(d, ids[i], "x", 5, "stop", RIGHT if rng.random() < p else WRONG) for d in range(arm.draws)]
        arm_id = store.arm_id(Arm(arm.model, arm.model, arm.method, arm.value, dict(arm.settings)))  # type: ignore[arg-type]
        store.save(arm_id, run_id, "countdown", rows)
    store.close()
    return path


GREEDY = Made("greedy", None, 1, 0.4)
TEMPERATURES = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
SIGMAS = [0.0005, 0.001, 0.003, 0.005, 0.01]
TWELVE = [Made("temperature", t, 64, 0.3 - 0.4 * (t - 0.5) ** 2) for t in TEMPERATURES] + [
    Made("perturbation", s, 64, 0.3 / (1 + (s / 0.002) ** 2)) for s in SIGMAS
]
LONG = "Somebody/A-Model-With-A-Very-Long-Name-Of-The-Kind-That-People-Like-0.5B-Instruct-v2"
SETTINGS = [(("noise", "iid"), ("dtype", d), ("max_new_tokens", 1024)) for d in ("float16", "bfloat16")]
CURVES = {"pass-at-k-temperature", "pass-at-k-perturbation", "pass-at-k-overlaid", "best-against-best"}
ALL = set(PLOTS) - {"pass-at-k-imported"}
NO_PERTURBATION = ALL - {"pass-at-k-perturbation", "pass-at-k-overlaid", "best-against-best", "solve-overlap", "draw-accuracy"}

# name → (arms, problems, the plots that must be there)
CASES: dict[str, tuple[list[Made], int, set[str]]] = {
    "one-temperature": ([Made("temperature", 0.6, 16)], 40, NO_PERTURBATION - {"pass-at-k-over-values"}),
    "one-perturbation": (
        [Made("perturbation", 0.01, 16)],
        40,
        {"pass-at-k-perturbation", "coverage-against-depth", "problem-strip", "correct-counts", "draw-accuracy"},
    ),
    "greedy-only": ([GREEDY], 40, set()),
    "two": ([Made("temperature", 0.6, 16), Made("perturbation", 0.001, 32, 0.2)], 40, ALL - {"pass-at-k-over-values"}),
    "twelve": ([GREEDY, *TWELVE], 128, ALL),
    "all-zero": ([Made("greedy", None, 1, 0)] + [Made(m.method, m.value, 16, 0) for m in TWELVE[5:9]], 40, ALL),
    "one-problem": ([GREEDY, *TWELVE[3:9]], 1, ALL),
    "one-draw": (
        [GREEDY, Made("temperature", 0.6, 1), Made("perturbation", 0.01, 1)],
        40,
        {"solve-overlap", "problem-strip", "draw-accuracy"},
    ),
    "all-right": ([Made("temperature", 0.6, 16, 99), Made("perturbation", 0.001, 16, 99)], 19, ALL - {"pass-at-k-over-values"}),
    "low": ([GREEDY, Made("temperature", 0.6, 64, 0.002), *[Made("perturbation", s, 64, 0.002) for s in SIGMAS]], 128, ALL),
    "alike-and-long": (
        [
            Made(m, v, 16, 0.3, LONG, s)
            for m, v in [("greedy", None), ("temperature", 0.6), ("perturbation", 0.01)]
            for s in SETTINGS
        ],
        60,
        ALL - {"pass-at-k-over-values"},
    ),
    "uneven": (
        [
            GREEDY,
            Made("temperature", 0.6, 16, problems=range(20)),
            Made("temperature", 0.8, 100),
            Made("perturbation", 0.0, 10),
            Made("perturbation", 0.01, 50, problems=range(5, 40)),
            Made("imported", None, 20),
        ],
        40,
        set(PLOTS),
    ),
    "many": ([Made("temperature", 0.2 + 0.05 * i, 4) for i in range(30)] + [Made("perturbation", 0.01, 8)], 300, ALL),
}


def words(svg: Path) -> str:
    """The text of an SVG, in its order."""
    return " ".join(unescape(t) for t in re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text()))


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path, list[str]]]:
    """(database, folder of plots, lines printed) of a case, each drawn once."""
    known: dict[str, tuple[Path, Path, list[str]]] = {}

    def draw(name: str) -> tuple[Path, Path, list[str]]:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            arms, problems, _ = CASES[name]
            db = make(folder / "r.db", arms, problems)
            known[name] = db, folder / "plots", save_plots(reading.open_database(db), Filter(), folder / "plots")
        return known[name]

    return draw


Drawn = Callable[[str], tuple[Path, Path, list[str]]]


@pytest.mark.filterwarnings("error")  # matplotlib warns of what it cannot lay out
@pytest.mark.parametrize("case", CASES)
def test_every_plot_is_drawn_or_said_to_be_skipped(drawn: Drawn, case: str) -> None:
    _, folder, lines = drawn(case)
    slug = LONG[-60:].replace("/", "-") if case == "alike-and-long" else "countdown-tiny"
    expected = CASES[case][2]
    files = {f"{slug}-{name}.{kind}" for name in expected for kind in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == files
    assert {Path(line).name for line in lines if not line.startswith("skipped ")} == files
    skipped = {line.split(": ")[0] for line in lines if line.startswith("skipped ")}
    assert skipped == {f"skipped {slug}-{name}" for name in ALL - expected}
    for path in folder.glob("*.png"):
        width, height = png_size(path)
        assert width == 1260
        assert 380 <= height <= 2200
        assert path.stat().st_size > 8000
    for path in folder.glob("*.svg"):
        assert len(words(path)) > 60
        assert path.stat().st_size < 1_500_000
        assert not re.search(r"\b[1-9]\d{3,}%|nan", words(path)), path
