"""Every plot is drawn, or said to be skipped, whatever arms there are; its words are in the SVG, and it is the same again."""

import re
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path

import pytest

from esprobe.analysis.arms import Filter
from esprobe.errors import UserError
from esprobe.report.plots.save import PLOTS
from tests.conftest import Run
from tests.helpers.rated import GREEDY, SIGMAS, TEMPERATURES, TWELVE, Made, make
from tests.helpers.wired import save_plots
from tests.report.conftest import CASES, LONG, Database

CURVES = {"pass-at-k-temperature", "pass-at-k-perturbation", "pass-at-k-overlaid", "best-against-best"}
BY_KIND = {"pass-at-k-by-kind"}  # needs problems of several kinds
ALL = set(PLOTS) - {"pass-at-k-imported"}
ONE_KIND = ALL - BY_KIND
PAIR = {"pass-at-k-overlaid", "best-against-best", "paired-difference", "solve-overlap"}
ONE_VALUE = ONE_KIND - {"pass-at-k-over-values"}
NO_PERTURBATION = ONE_KIND - PAIR - {"pass-at-k-perturbation", "draw-accuracy"}

# case → the plots that must be there
EXPECTED: dict[str, set[str]] = {
    "one-temperature": NO_PERTURBATION - {"pass-at-k-over-values"},
    "one-perturbation": {
        "pass-at-k-perturbation",
        "vote-at-k",
        "coverage-against-depth",
        "problem-strip",
        "correct-counts",
        "draw-accuracy",
    },
    "greedy-only": set(),
    "two": ONE_VALUE,
    "twelve": ONE_KIND,
    "all-zero": set(),
    "one-problem": ONE_KIND,
    "one-draw": {"solve-overlap", "problem-strip", "draw-accuracy"},
    "all-right": ONE_VALUE,
    "low": ONE_KIND,
    "alike-and-long": ONE_VALUE,
    "uneven": set(PLOTS) - BY_KIND,
    "many": ONE_KIND,
}

Drawn = Callable[[str], tuple[Path, Path, list[str]]]


@pytest.fixture(scope="session")
def drawn(database: Database) -> Drawn:
    """(database, folder of plots, lines printed) of a case, each drawn once."""

    @cache
    def draw(case: str) -> tuple[Path, Path, list[str]]:
        db = database(case)
        return db, db.with_name("plots"), save_plots(db, Filter(), db.with_name("plots"))

    return draw


def words(svg: Path) -> str:
    """The text of an SVG, in its order."""
    return " ".join(unescape(t) for t in re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text()))


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


@pytest.mark.filterwarnings("error")  # matplotlib warns of what it cannot lay out
@pytest.mark.parametrize("case", CASES)
def test_every_plot_is_drawn_or_said_to_be_skipped(drawn: Drawn, case: str) -> None:
    _, folder, lines = drawn(case)
    slug = LONG[-60:].replace("/", "-") if case == "alike-and-long" else "countdown-tiny"
    expected = EXPECTED[case]
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


def test_report_draws_lists_and_keeps_json_whole(esprobe: Run, database: Database, tmp_path: Path) -> None:
    db = database("two")
    plain = esprobe("--db", db, "report").stdout
    both = esprobe("--db", db, "report", "--plots", "plots").stdout
    assert both.startswith(plain)
    listed = [line for line in both[len(plain) :].splitlines() if line.endswith((".png", ".svg", ".pdf"))]
    assert len(listed) == 3 * len(EXPECTED["two"])
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


def test_only_plots_load_matplotlib(database: Database, tmp_path: Path) -> None:
    code = (
        "import sys; from esprobe.cli.main import main; main(sys.argv[1:]); "
        "print('loaded', sorted({'matplotlib', 'numpy', 'torch', 'sqlalchemy'} & set(sys.modules)))"
    )
    for words_, loaded in ([], "loaded []"), (["--plots", str(tmp_path)], "loaded ['matplotlib', 'numpy']"):
        command = [sys.executable, "-c", code, "--db", str(database("two")), "report", *words_]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == loaded, done.stderr
