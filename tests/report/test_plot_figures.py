"""Lines, bands, marks and ticks of plots: the figures of the tables, a colour for every arm, and what is left out."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from esprobe.analysis import reading
from esprobe.analysis.across import read_across
from esprobe.analysis.arms import Filter, estimate
from esprobe.analysis.comparison import compare
from esprobe.analysis.plotted import read_plotted
from esprobe.methods import TEMPERATURE
from esprobe.report.plots import curves, difference, findings, models, style, values
from esprobe.stats.paired import paired_difference
from tests.conftest import Run
from tests.helpers.contents import rows
from tests.helpers.errors import one_line_error
from tests.helpers.figures import drawn, notes, subjects_of, title
from tests.helpers.rated import GREEDY, TWELVE, Made, make
from tests.helpers.wired import overview


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve arms, and one that solves nothing, on problems of two kinds."""
    arms = [GREEDY, *TWELVE, Made("perturbation", 0.05, 64, 0)]
    return make(tmp_path_factory.mktemp("figures") / "r.db", arms, 60, kinds=2)


def line(axes: Axes, name: str) -> tuple[list[float], list[float]]:
    (found,) = [one for one in axes.lines if one.get_label() == name]
    ks, shares = found.get_data()
    return np.asarray(ks, dtype=float).tolist(), np.asarray(shares, dtype=float).tolist()


def bands(axes: Axes, colour: str) -> list[PolyCollection]:
    found = [one for one in axes.collections if isinstance(one, PolyCollection)]
    return [one for one in found if np.allclose(one.get_facecolor()[0][:3], to_rgb(colour))]


def test_lines_are_the_arms_that_solve_something_with_bands_of_the_best_two(swept: Path) -> None:
    (subject,) = subjects_of(swept)
    made = drawn(curves.overlaid(subject))
    (axes,) = made.axes
    colours = style.of_arms(subject.drawn)
    best = subject.data.best
    assert best is not None
    for arm in subject.drawn:
        ks, shares = line(axes, subject.labels[arm.arm_id])
        curve = rows(swept, "SELECT k, pass_at_k FROM pass_at_k WHERE arm_id = ? ORDER BY k", arm.arm_id)
        assert (ks, shares) == ([k for k, _ in curve], pytest.approx([share for _, share in curve]))
        assert len(bands(axes, colours[arm.arm_id])) == (arm in best.arms)
    assert "σ 0.05" not in {one.get_label() for one in axes.lines}
    assert "not drawn, without a correct draw: σ 0.05" in notes(made)


def test_greedy_is_a_mark_at_one_draw_and_no_line(swept: Path) -> None:
    (subject,) = subjects_of(swept)
    share = rows(swept, "SELECT pass_at_k FROM pass_at_k WHERE method = 'greedy'")[0][0]
    for made in (curves.overlaid(subject), curves.best_against_best(subject)):
        (axes,) = drawn(made).axes
        black = [one for one in axes.lines if one.get_color() == "black"]
        assert [(list(one.get_xdata()), list(one.get_ydata())) for one in black] == [([1], [share])]
        assert f"greedy: {100 * float(str(share)):.1f}%" in [text.get_text() for text in axes.texts]


def test_every_line_is_named_at_its_end_and_no_name_covers_another(swept: Path) -> None:
    (subject,) = subjects_of(swept)
    made = drawn(curves.overlaid(subject))
    (axes,) = made.axes
    ends: list[Any] = [text for text in axes.texts if getattr(text, "anncoords", "") == "axes fraction"]
    assert {subject.labels[arm.arm_id] for arm in subject.drawn} <= {text.get_text() for text in ends}
    with style.applied():
        made.draw_without_rendering()
        renderer = FigureCanvasAgg(made).get_renderer()
        boxes = [Text.get_window_extent(text, renderer) for text in ends]  # without the lines that lead to them
        heights = sorted((box.y0, box.y1) for box in boxes)
    assert len(heights) == len(subject.drawn) + 2  # chance, ceiling
    for (_, top), (bottom, _) in pairwise(heights):
        assert bottom >= top - 1


def test_colours_differ_where_arms_differ(swept: Path) -> None:
    (subject,) = subjects_of(swept)
    colours = style.of_arms(subject.drawn)
    assert len(set(colours.values())) == len(subject.drawn) == 12
    for arm in subject.drawn:
        red, _, blue = to_rgb(colours[arm.arm_id])
        assert (blue > red) == (arm.method == "temperature")
    for name, scale in (("temperature", 7), ("perturbation", 5)):
        lightness = [sum(to_rgb(colour)) for colour in style.colours(name, scale)]
        assert lightness == sorted(lightness)


def test_the_difference_is_that_of_the_comparison_with_its_interval(swept: Path) -> None:
    (subject,) = subjects_of(swept)
    made = drawn(difference.paired_difference(subject))
    left, right = made.axes
    (compared,) = compare(reading.open_database(swept), Filter())
    expected = [step.difference for step in compared.steps]
    first, second = (subject.labels[arm.arm_id] for arm in (compared.first, compared.second))
    assert line(left, first)[1] == pytest.approx([one.first for one in expected])
    assert line(left, second)[1] == pytest.approx([one.second for one in expected])
    curve = max(right.lines, key=lambda one: len(one.get_xdata()))
    assert list(curve.get_ydata()) == pytest.approx([one.difference for one in expected])
    (band,) = bands(right, style.GREY)
    edges = {(round(float(x), 9), round(float(y), 9)) for path in band.get_paths() for x, y in path.vertices}
    for one in expected:
        assert one.interval is not None
        assert {(float(one.k), round(end, 9)) for end in one.interval} <= edges
    assert title(made).startswith(findings.difference_found(first, second, expected[-1]))
    assert findings.told_apart(first, second, expected) in title(made)


def test_kinds_of_problems_have_their_own_share(swept: Path) -> None:
    (subject,) = subjects_of(swept)
    made = drawn(values.by_kind(subject))
    for axes, k in zip(made.axes, (1, 64), strict=True):
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2 numbers", "3 numbers"]
        for arm in subject.drawn:
            parts = [
                [p for p in subject.data.found.tried[arm.arm_id] if p.stratum == kind] for kind in ("2 numbers", "3 numbers")
            ]
            expected = [estimate(part, k).pass_at_k for part in parts]
            assert line(axes, subject.labels[arm.arm_id])[1] == pytest.approx(expected)
    assert " on 2 numbers" in title(made)


def test_models_are_compared_on_the_problems_that_all_have(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.6, 16, 0.4, "a"), Made("temperature", 0.6, 16, 0.1, "b", problems=range(30))]
    path = make(tmp_path / "r.db", [*arms, Made("greedy", None, 1, 0.4, "a")], 40)
    seen = overview(path)
    (one,) = read_across(read_plotted(reading.open_database(path), seen))
    made = drawn(models.models_at_k(one, "countdown"))
    (axes,) = made.axes
    cells = [[seen.counts[arm.arm_id][p] for p in sorted(seen.counts[arm.arm_id])[:30]] for arm in seen.arms if arm.draws > 1]
    expected = [paired_difference(*cells, k) for k in (1, 2, 4, 8, 16)]
    assert line(axes, "a T 0.6")[1] == pytest.approx([at.first for at in expected])
    assert line(axes, "b T 0.6")[1] == pytest.approx([at.second for at in expected])
    assert title(made).startswith(findings.difference_found("a T 0.6", "b T 0.6", expected[-1]))
    assert "2 models, 30 problems of countdown" in title(made)
    apart = [
        Made("temperature", 0.6, 4, 0.4, "a", problems=range(9)),
        Made("temperature", 0.6, 4, 0.4, "b", problems=range(9, 40)),
    ]
    path = make(tmp_path / "apart.db", apart, 40)
    assert read_across(read_plotted(reading.open_database(path), overview(path))) == []


def test_models_of_unequal_depths_are_compared_where_both_have_a_figure(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.6, 5, 0.4, "a"), Made("temperature", 0.6, 16, 0.1, "b")]
    (one,) = read_across(read_plotted(reading.open_database(path := make(tmp_path / "r.db", arms)), overview(path)))
    assert one.best is not None
    assert one.best[2].k == 4  # b has none at 5


def test_ticks_of_many_values_are_apart_and_end_with_the_largest(tmp_path: Path) -> None:
    sigmas = [0.001 * i for i in range(1, 15)]
    arms = [Made("temperature", t, 2) for t in (0.5, 1.0)] + [Made("perturbation", sigma, 2, 0.6) for sigma in sigmas]
    (subject,) = subjects_of(make(tmp_path / "r.db", arms, 6))
    right = drawn(values.over_values(subject)).axes[1]
    ticks = right.get_xticks()
    assert (ticks[0], ticks[-1]) == (sigmas[0], sigmas[-1])
    low, high = np.log(right.get_xlim())
    assert (np.diff(np.log(ticks)) / (high - low)).min() >= 0.1 - 1e-9  # of half a picture


def test_chance_that_leaves_the_axes_is_named_where_it_does(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.6, 64, 0.002)]
    (subject,) = subjects_of(make(tmp_path / "r.db", arms, chance=0.05))
    (axes,) = drawn(curves.of_method(subject, TEMPERATURE)).axes
    (name,) = [text for text in axes.texts if text.get_text().startswith("chance")]
    x, y = name.xy  # type: ignore[attr-defined]
    assert y == axes.get_ylim()[1] < 0.5
    assert 1 < x < 64


def test_one_plot_is_drawn_by_its_name(esprobe: Run, swept: Path, tmp_path: Path) -> None:
    done = esprobe("--db", swept, "report", "--plot", "paired-difference")
    names = {f"countdown-tiny-paired-difference.{kind}" for kind in ("png", "svg", "pdf")}
    assert {path.name for path in tmp_path.iterdir()} >= names
    assert [line for line in done.stdout.splitlines() if line.startswith("countdown-tiny-")] == sorted(names, key=_place)
    assert (tmp_path / "countdown-tiny-paired-difference.pdf").read_bytes().startswith(b"%PDF")
    assert "paired-difference" in one_line_error(esprobe("--db", swept, "report", "--plot", "nothing"), 1)
    pair = esprobe("--db", swept, "report", "--compare", "--arm", "2", "--arm", "4", "--plot", "paired-difference")
    assert "countdown-tiny-arm-2-arm-4-paired-difference.svg" in pair.stdout
    svg = (tmp_path / "countdown-tiny-arm-2-arm-4-paired-difference.svg").read_text()
    assert "60 problems, n = 64 draws each" in svg


def _place(name: str) -> int:
    return ("png", "svg", "pdf").index(name.rpartition(".")[2])
