"""Every plot is drawn, or said to be skipped, whatever arms there are; what it shows equals SQL; its words are in the SVG."""

import random
import re
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

from esprobe.analysis import reading
from esprobe.analysis.arms import AtK, Filter, estimate
from esprobe.analysis.comparison import compare
from esprobe.arms import Arm
from esprobe.errors import UserError
from esprobe.report.plots.data import band, count_bins, count_shares, coverage_and_depth
from esprobe.report.plots.save import PLOTS
from esprobe.stats.intervals import SharedDraws
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Facts, Score
from esprobe.tasks.countdown.task import Countdown
from tests.conftest import Run
from tests.helpers.wired import plotted, save_plots

WRONG = Score(False, "wrong_value", "1", "1", 0.0)
RIGHT = Score(True, "correct", "2", "2", 1.0)
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


def make(path: Path, arms: Sequence[Made], problems: int = 40, kinds: int = 0, chance: float | None = 0.03) -> Path:
    """A database of such arms; every 20th problem but the first is impossible. `kinds`: of how many kinds problems are known.

    `chance` is that of the others.
    """
    rng, store = random.Random(1), Store(path)
    asked = [TASK.problem({"numbers": [3, i + 1], "target": str(i)}) for i in range(problems)]
    solvable = [i % 20 != 19 for i in range(problems)]
    strata = [f"{2 + i % kinds} numbers" if kinds else None for i in range(problems)]
    facts = [Facts(s, None, None if chance is None else chance * s, stratum) for s, stratum in zip(solvable, strata, strict=True)]
    store.add_problems(list(zip(asked, facts, strict=True)))
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
BY_KIND = {"pass-at-k-by-kind"}  # needs problems of several kinds
ALL = set(PLOTS) - {"pass-at-k-imported"}
ONE_KIND = ALL - BY_KIND
PAIR = {"pass-at-k-overlaid", "best-against-best", "paired-difference", "solve-overlap"}
ONE_VALUE = ONE_KIND - {"pass-at-k-over-values"}
NO_PERTURBATION = ONE_KIND - PAIR - {"pass-at-k-perturbation", "draw-accuracy"}

# name → (arms, problems, the plots that must be there)
CASES: dict[str, tuple[list[Made], int, set[str]]] = {
    "one-temperature": ([Made("temperature", 0.6, 16)], 40, NO_PERTURBATION - {"pass-at-k-over-values"}),
    "one-perturbation": (
        [Made("perturbation", 0.01, 16)],
        40,
        {"pass-at-k-perturbation", "vote-at-k", "coverage-against-depth", "problem-strip", "correct-counts", "draw-accuracy"},
    ),
    "greedy-only": ([GREEDY], 40, set()),
    "two": ([Made("temperature", 0.6, 16), Made("perturbation", 0.001, 32, 0.2)], 40, ONE_VALUE),
    "twelve": ([GREEDY, *TWELVE], 128, ONE_KIND),
    "all-zero": ([Made("greedy", None, 1, 0)] + [Made(m.method, m.value, 16, 0) for m in TWELVE[5:9]], 40, set()),
    "one-problem": ([GREEDY, *TWELVE[3:9]], 1, ONE_KIND),
    "one-draw": (
        [GREEDY, Made("temperature", 0.6, 1), Made("perturbation", 0.01, 1)],
        40,
        {"solve-overlap", "problem-strip", "draw-accuracy"},
    ),
    "all-right": ([Made("temperature", 0.6, 16, 99), Made("perturbation", 0.001, 16, 99)], 19, ONE_VALUE),
    "low": ([GREEDY, Made("temperature", 0.6, 64, 0.002), *[Made("perturbation", s, 64, 0.002) for s in SIGMAS]], 128, ONE_KIND),
    "alike-and-long": (
        [
            Made(m, v, 16, 0.3, LONG, s)
            for m, v in [("greedy", None), ("temperature", 0.6), ("perturbation", 0.01)]
            for s in SETTINGS
        ],
        60,
        ONE_VALUE,
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
        set(PLOTS) - BY_KIND,
    ),
    "many": ([Made("temperature", 0.2 + 0.05 * i, 4) for i in range(30)] + [Made("perturbation", 0.01, 8)], 300, ONE_KIND),
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
            known[name] = db, folder / "plots", save_plots(db, Filter(), folder / "plots")
        return known[name]

    return draw


Drawn = Callable[[str], tuple[Path, Path, list[str]]]


@pytest.mark.filterwarnings("error")  # matplotlib warns of what it cannot lay out
@pytest.mark.parametrize("case", CASES)
def test_every_plot_is_drawn_or_said_to_be_skipped(drawn: Drawn, case: str) -> None:
    _, folder, lines = drawn(case)
    slug = LONG[-60:].replace("/", "-") if case == "alike-and-long" else "countdown-tiny"
    expected = CASES[case][2]
    files = {f"{slug}-{name}.{kind}" for name in expected for kind in ("png", "svg", "pdf")}
    assert {path.name for path in folder.iterdir()} == files
    assert {Path(line).name for line in lines if not line.startswith("skipped ")} == files
    skipped = {line.split(": ")[0] for line in lines if line.startswith("skipped ")}
    assert skipped == ({f"skipped {slug}-{name}" for name in ALL - expected} if expected else {f"skipped {slug}"})
    for path in folder.glob("*.png"):
        width, height = png_size(path)
        assert width == 1260
        assert 380 <= height <= 2200
        assert path.stat().st_size > 8000
    for path in folder.glob("*.svg"):
        assert len(words(path)) > 60
        assert path.stat().st_size < 1_500_000
        assert not re.search(r"\b[1-9]\d{3,}%|nan", words(path)), path


def test_what_stands_in_the_plots(drawn: Drawn) -> None:
    _, folder, _ = drawn("twelve")
    said = {name: words(folder / f"countdown-tiny-{name}.svg") for name in ONE_KIND}
    for name, text in said.items():
        assert "countdown-tiny, 128 problems, n = 64 draws" in text, name
        assert "scored by countdown" in text, name
        assert "0%" in text or name == "solve-overlap", name
    for name in CURVES:
        assert "chance: random valid answers" in said[name]
        assert "ceiling: 95.3% solvable" in said[name]
        assert re.search(r"greedy: \d+\.\d%", said[name])
        assert "1 2 4 8 16 32 64 k (draws)" in said[name]
        assert "0% 20% 40% 60% 80% 100% pass@k, mean over problems" in said[name]
    for t in TEMPERATURES:
        assert all(f" T {t:g} " in said[name] for name in ("pass-at-k-temperature", "pass-at-k-overlaid", "correct-counts"))
    for sigma in SIGMAS:
        assert all(f" σ {sigma:g}" in said[name] for name in ("pass-at-k-perturbation", "pass-at-k-overlaid", "draw-accuracy"))
    assert "pass@1 pass@8 pass@64" in said["pass-at-k-over-values"]
    assert "flatters both" in said["best-against-best"]
    assert "proven to have no solution" in said["solve-overlap"]


@pytest.mark.parametrize("chance", [0.03, None])
def test_chance_is_named_where_it_is_drawn(tmp_path: Path, chance: float | None) -> None:
    save_plots(make(tmp_path / "r.db", [GREEDY, *TWELVE[4:9]], kinds=2, chance=chance), Filter(), tmp_path)
    said = {path.stem.removeprefix("countdown-tiny-"): words(path) for path in tmp_path.glob("*.svg")}
    naming = {name for name, text in said.items() if "chance" in text}
    assert said.keys() >= CURVES | BY_KIND | {"pass-at-k-over-values"}
    assert naming == (CURVES | BY_KIND | {"pass-at-k-over-values", "paired-difference"} if chance else set())


def test_arms_that_exclude_other_tokens_are_not_joined(tmp_path: Path) -> None:
    cut = (("top_p", 0.9),)
    made = [Made("temperature", t, 8, settings=settings) for settings in ((), cut) for t in (0.6, 1.0)]
    save_plots(make(tmp_path / "r.db", made), Filter(), tmp_path)
    said = words(tmp_path / "countdown-tiny-pass-at-k-over-values.svg")
    assert "pass@1 pass@1, top-p 0.9 pass@8 pass@8, top-p 0.9" in said


def test_the_same_data_give_the_same_files(drawn: Drawn, tmp_path: Path) -> None:
    db, folder, _ = drawn("two")
    save_plots(db, Filter(), tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def ask(db: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql, values).fetchall()


@pytest.mark.parametrize("case", ["twelve", "uneven", "one-problem", "all-zero"])
def test_the_data_of_the_plots_equal_sql(drawn: Drawn, case: str) -> None:
    db = drawn(case)[0]
    (data,) = plotted(db)
    for arm in data.arms:
        cells = data.found.tried[arm.arm_id]
        sql = "SELECT avg(c > 0), coalesce(avg(CASE WHEN c > 0 THEN 1.0 * c / n END), 0) FROM solved WHERE arm_id = ?"
        covered, depth = ask(db, sql, arm.arm_id)[0]
        assert coverage_and_depth(cells) == pytest.approx((covered, depth))
        bins = count_bins(arm.draws)
        assert [low for low, _ in bins] == [0, *(high + 1 for _, high in bins[:-1])]
        assert bins[-1] == (arm.draws, arm.draws)
        for (low, high), share in zip(bins, count_shares(cells, bins), strict=True):
            sql = "SELECT avg(c BETWEEN ? AND ?) FROM solved WHERE arm_id = ?"
            assert share == pytest.approx(ask(db, sql, low, high, arm.arm_id)[0][0])
        sql = "SELECT k, problems, pass_at_k, stderr, chance FROM pass_at_k WHERE arm_id = ? AND k <= ? ORDER BY k"
        rows = ask(db, sql, arm.arm_id, min(cell.n for cell in cells))
        assert [point.k for point in data.curve(arm)] == [row[0] for row in rows]
        for k, *row in rows:
            for found in (estimate(cells, int(str(k))), data.point(arm, int(str(k)))):
                assert found is not None
                assert [found.problems, found.pass_at_k, found.stderr, found.chance] == pytest.approx(row, abs=1e-12)
        if arm.method == "perturbation":
            sql = "SELECT avg(correct) FROM score WHERE arm_id = ? GROUP BY draw ORDER BY draw"
            assert data.accuracies[arm.arm_id] == pytest.approx([share for (share,) in ask(db, sql, arm.arm_id)])
            sql = (
                "SELECT avg(g.correct) FROM score AS g JOIN arm ON arm.id = g.arm_id AND method = 'greedy' "
                "WHERE problem_id IN (SELECT problem_id FROM score WHERE arm_id = ?)"
            )
            assert data.found.greedy_share(arm) == pytest.approx(ask(db, sql, arm.arm_id)[0][0])


@pytest.mark.parametrize("case", ["two", "twelve", "uneven", "one-draw"])
def test_overlap_counts_equally_many_draws_of_both_best_arms(drawn: Drawn, case: str) -> None:
    db = drawn(case)[0]
    (data,) = plotted(db)
    best = data.best
    assert best is not None
    assert [arm.method for arm in best.arms] == ["temperature", "perturbation"]
    (compared,) = compare(reading.open_database(db), Filter())  # one rule names the same arms everywhere
    assert [arm.arm_id for arm in best.arms] == [compared.first.arm_id, compared.second.arm_id]
    assert (best.depth, len(best.correct)) == (compared.depth, compared.problems)
    sql = (
        "SELECT a.c > 0, b.c > 0, count(*) FROM "
        "(SELECT problem_id, sum(correct) AS c FROM score WHERE arm_id = ?2 AND draw < ?1 GROUP BY problem_id) AS a "
        "JOIN (SELECT problem_id, sum(correct) AS c FROM score WHERE arm_id = ?3 AND draw < ?1 GROUP BY problem_id) AS b "
        "USING (problem_id) GROUP BY 1, 2"
    )
    counted = {row[:2]: row[2] for row in ask(db, sql, best.depth, *(arm.arm_id for arm in best.arms))}
    found = best.overlap()
    assert found is not None
    assert (found.both, found.only_first, found.only_second, found.neither) == tuple(
        counted.get(key, 0) for key in [(1, 1), (1, 0), (0, 1), (0, 0)]
    )
    assert (found.both, found.only_first) == (compared.overlap.both, compared.overlap.only_first)


def test_curves_of_the_best_arms_are_on_shared_problems_at_equal_draws(drawn: Drawn) -> None:
    (data,) = plotted(drawn("uneven")[0])
    assert data.best is not None
    (compared,) = compare(reading.open_database(drawn("uneven")[0]), Filter())
    for arm, side in zip(data.best.arms, ("first", "second"), strict=True):
        for point, step in zip(data.shared_curve(arm, data.best), compared.steps, strict=True):
            assert (point.k, point.problems) == (step.difference.k, compared.problems)
            assert point.pass_at_k == pytest.approx(getattr(step.difference, side), abs=1e-12)


def test_a_band_is_drawn_only_where_the_interval_is_trustworthy() -> None:
    assert band(AtK(1, 50, 0.4, 0.05, None).interval) is not None
    assert band(AtK(1, 50, 0.4, 0.05, None, SharedDraws(1, 4, 1e-4, 2e-4, 4.0)).interval) is None  # of four models
    assert band(AtK(1, 50, 0.4, 0.05, None, SharedDraws(1, 1, 0.0, 0.0, 1.0)).interval) is None


def test_plots_that_count_draws_take_equally_many_of_each_arm(drawn: Drawn) -> None:
    db = drawn("uneven")[0]
    (data,) = plotted(db)
    for arm_id, cells in data.equal.items():
        assert {cell.n for cell in cells} == {data.k}
        sql = "SELECT problem_id, sum(correct) FROM score WHERE arm_id = ? AND draw < ? GROUP BY problem_id ORDER BY problem_id"
        assert [(cell.problem_id, cell.c) for cell in cells] == ask(db, sql, arm_id, data.k)
    assert len(data.equal) > 3


def test_each_model_has_plots_of_its_own(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.5, 4, model=name) for name in ("a/b", "a b", "../../c")]
    db = make(tmp_path / "r.db", arms, problems=5)
    save_plots(db, Filter(), tmp_path / "deep" / "plots")
    strips = sorted(path.name for path in (tmp_path / "deep/plots").glob("*-problem-strip.png"))
    assert len(strips) == 3
    assert all(re.fullmatch(r"a-b-[0-9a-f]{6}-problem-strip.png", name) for name in strips[:2])
    assert strips[2] == "c-problem-strip.png"
    assert {path.name for path in tmp_path.iterdir()} >= {"deep", "r.db"}
    only = save_plots(db, Filter(model="c"), tmp_path / "c")
    assert {Path(line).name for line in only} >= {"c-problem-strip.png"}
    with pytest.raises(UserError, match="no arm passes"):
        save_plots(db, Filter(model="nobody"), tmp_path / "none")


def test_report_draws_lists_and_keeps_json_whole(esprobe: Run, drawn: Drawn, tmp_path: Path) -> None:
    db = drawn("two")[0]
    plain = esprobe("--db", db, "report").stdout
    both = esprobe("--db", db, "report", "--plots", "plots").stdout
    assert both.startswith(plain)
    listed = [line for line in both[len(plain) :].splitlines() if line.endswith((".png", ".svg", ".pdf"))]
    assert len(listed) == 3 * len(CASES["two"][2])
    assert all((tmp_path / line).stat().st_size > 1000 for line in listed)
    assert "skipped countdown-tiny-pass-at-k-over-values: needs at least two values of T or of σ" in both
    records = esprobe("--db", db, "report", "--plots", "plots", "--format", "json")
    assert records.stdout == esprobe("--db", db, "report", "--format", "json").stdout
    assert "countdown-tiny-problem-strip.png" in records.stderr
    (tmp_path / "file").touch()
    refused = esprobe("--db", db, "report", "--plots", "file")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: file: plots cannot be written there")
    assert refused.stderr.count("\n") == 1


def test_only_plots_load_matplotlib(drawn: Drawn, tmp_path: Path) -> None:
    code = (
        "import sys; from esprobe.cli.main import main; main(sys.argv[1:]); "
        "print('loaded', sorted({'matplotlib', 'numpy', 'torch', 'sqlalchemy'} & set(sys.modules)))"
    )
    for words_, loaded in ([], "loaded []"), (["--plots", str(tmp_path)], "loaded ['matplotlib', 'numpy']"):
        command = [sys.executable, "-c", code, "--db", str(drawn("two")[0]), "report", *words_]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == loaded, done.stderr
