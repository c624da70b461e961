"""What the drawn objects of a plot show: figures equal to those of the tables, titles, names, colours, and what is left out."""

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from esprobe.analysis import reading
from esprobe.analysis.across import read_across
from esprobe.analysis.arms import Filter, estimate
from esprobe.analysis.comparison import compare
from esprobe.analysis.plotted import read_plotted
from esprobe.methods import TEMPERATURE
from esprobe.report.layout import width_of
from esprobe.report.plots import curves, difference, findings, models, problems, style, values, votes
from esprobe.report.plots.data import Point, Subject, subjects
from esprobe.report.plots.fonts import families
from esprobe.report.plots.labels import beside, spread
from esprobe.report.plots.save import save_plots as save
from esprobe.stats.intervals import Interval
from esprobe.stats.paired import Difference, paired_difference
from tests.conftest import Run
from tests.helpers.errors import one_line_error
from tests.helpers.wired import overview
from tests.report.test_plots import GREEDY, TWELVE, Made, ask, make


def subjects_of(path: Path) -> list[Subject]:
    seen = overview(path)
    return subjects(seen, read_plotted(reading.open_database(path), seen))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve arms, and one that solves nothing, on problems of two kinds."""
    arms = [GREEDY, *TWELVE, Made("perturbation", 0.05, 64, 0)]
    return make(tmp_path_factory.mktemp("figures") / "r.db", arms, 60, kinds=2)


def drawn(made: Figure | str) -> Figure:
    assert isinstance(made, Figure), made
    return made


def title(made: Figure) -> str:
    return " ".join(made.get_suptitle().split())


def line(axes: Axes, name: str) -> tuple[list[float], list[float]]:
    (found,) = [one for one in axes.lines if one.get_label() == name]
    ks, shares = found.get_data()
    return np.asarray(ks, dtype=float).tolist(), np.asarray(shares, dtype=float).tolist()


def notes(made: Figure) -> str:
    return " ".join(made.get_supxlabel().split())


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
        rows = ask(swept, "SELECT k, pass_at_k FROM pass_at_k WHERE arm_id = ? ORDER BY k", arm.arm_id)
        assert (ks, shares) == ([k for k, _ in rows], pytest.approx([share for _, share in rows]))
        assert len(bands(axes, colours[arm.arm_id])) == (arm in best.arms)
    assert "σ 0.05" not in {one.get_label() for one in axes.lines}
    assert "not drawn, without a correct draw: σ 0.05" in notes(made)


def test_greedy_is_a_mark_at_one_draw_and_no_line(swept: Path) -> None:
    (subject,) = subjects_of(swept)
    share = ask(swept, "SELECT pass_at_k FROM pass_at_k WHERE method = 'greedy'")[0][0]
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


def test_votes_of_arms_of_unequal_depths_are_all_in_the_title(tmp_path: Path) -> None:
    (subject,) = subjects_of(make(tmp_path / "r.db", [Made("temperature", 0.4, 8, 0.9), Made("temperature", 0.8, 5, 0.1)]))
    assert title(drawn(votes.vote_at_k(subject))).count("T 0.4 solves most at k = 5") == 2


@pytest.mark.parametrize(
    ("at", "says"),
    [
        (Difference(8, 0.5, 0.448, 0.052, Interval(0.005, 0.098), 0.03), "A above B by 5.2 points at k = 8 [0.5, 9.8]"),
        (Difference(8, 0.448, 0.5, -0.052, Interval(-0.098, -0.005), 0.03), "B above A by 5.2 points at k = 8 [0.5, 9.8]"),
        (
            Difference(1, 0.5, 0.49, 0.01, Interval(-0.02, 0.04), 0.5),
            "A and B cannot be told apart at k = 1: 1.0 points [−2.0, 4.0]",
        ),
        (
            Difference(4, 0.5, 0.4, 0.1, None, None),
            "A above B by 10.0 points at k = 4, without an interval: a single perturbed model",
        ),
        (
            Difference(4, 0.5, 0.4, 0.1, Interval(0.05, 0.15, "few models (4)"), 0.1),
            "A and B cannot be told apart at k = 4: 10.0 points [5.0, 15.0] (not trustworthy: few models (4))",
        ),
        (Difference(16, 0.0, 0.0, 0.0, Interval(-0.098, 0.098), 1.0), "No draw of A or B is correct"),
    ],
)
def test_titles_say_the_difference_with_its_uncertainty(at: Difference, says: str) -> None:
    assert findings.difference_found("A", "B", at) == says


def test_titles_say_where_either_is_above_and_which_solves_most() -> None:
    ends = [(0.1, 0.2), (0.1, 0.2), (-0.1, 0.1), (0.1, 0.2), (-0.3, -0.1)]
    found = [Difference(2**i, 0.5, 0.4, sum(end) / 2, Interval(*end), None) for i, end in enumerate(ends)]
    assert findings.told_apart("A", "B", found) == "A is above at k = 1 to 2, 8, B is above at k = 16"
    assert findings.told_apart("A", "B", found[2:3]) == "no k tells them apart"
    points = [Point(8, 0.5, (0.4, 0.6), 0.2), Point(8, 0.5, (0.3, 0.6), 0.2), Point(8, 0.1, None, 0.2)]
    assert findings.most_found(["A", "B", "C"], points) == "A and B solve most at k = 8: 50.0% [40.0, 60.0], guessing 20.0%"
    assert findings.most_found(["C"], points[2:]) == "C solves 10.0% at k = 8, guessing 20.0%"
    assert findings.listed(["a", "b", "c", "d", "e"]) == "a, b and 3 others"


def test_names_are_spread_without_overlap_in_their_order_and_stay_where_there_is_room() -> None:
    rng = random.Random(1)
    for _ in range(200):
        wanted = [rng.random() for _ in range(rng.randint(1, 20))]
        heights = [rng.choice((0.03, 0.06)) for _ in wanted]
        if sum(heights) > 1:
            continue
        found = spread(wanted, heights, 0, 1)
        order = sorted(range(len(wanted)), key=lambda i: wanted[i])
        for i, j in pairwise(order):
            assert found[j] - found[i] >= (heights[i] + heights[j]) / 2 - 1e-9
        assert all(height / 2 - 1e-9 <= place <= 1 - height / 2 + 1e-9 for place, height in zip(found, heights, strict=True))
    assert spread([0.9, 0.1, 0.5], [0.1, 0.1, 0.1], 0, 1) == pytest.approx([0.9, 0.1, 0.5])
    assert spread([0.5, 0.5], [0.2, 0.2], 0, 1) == pytest.approx([0.4, 0.6])


def test_names_of_points_are_inside_and_apart() -> None:
    places = [(200.0, 100.0), (203.0, 101.0), (290.0, 100.0)]
    found = beside(places, [40.0, 40.0, 40.0], 300.0)
    boxes = [(x + dx, x + dx + 40, y + dy) for (x, y), (dx, dy) in zip(places, found, strict=True)]
    assert all(left >= 0 and right <= 300 for left, right, _ in boxes)
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            assert one[1] <= other[0] or other[1] <= one[0] or abs(one[2] - other[2]) >= 10


@pytest.mark.parametrize(("end", "free"), [((180.0, 104.0), False), ((110.0, 200.0), True), ((100.0, 200.0), True)])
def test_no_line_runs_through_the_name_of_a_point(end: tuple[float, float], free: bool) -> None:
    ((dx, dy),) = beside([(100.0, 100.0)], [40.0], 300.0, [((100.0, 100.0), end)])
    assert ((dx, dy) == (8.0, 0.0)) == free  # to the right of the point, where nothing is in the way
    assert free or dx + 40 < 0  # to its left, where it does not run


def test_ticks_of_many_values_are_apart_and_end_with_the_largest(tmp_path: Path) -> None:
    sigmas = [0.001 * i for i in range(1, 15)]
    arms = [Made("temperature", t, 2) for t in (0.5, 1.0)] + [Made("perturbation", sigma, 2, 0.6) for sigma in sigmas]
    (subject,) = subjects_of(make(tmp_path / "r.db", arms, 6))
    right = drawn(values.over_values(subject)).axes[1]
    ticks = right.get_xticks()
    assert (ticks[0], ticks[-1]) == (sigmas[0], sigmas[-1])
    low, high = np.log(right.get_xlim())
    assert (np.diff(np.log(ticks)) / (high - low)).min() >= 0.1 - 1e-9  # of half a picture


def test_notes_say_what_was_chosen_and_nothing_where_there_was_no_choice(tmp_path: Path) -> None:
    temperatures = [Made("temperature", t, 4, 0.9 - t) for t in (0.2, 0.6)]
    perturbed = [Made("perturbation", sigma, 4, 0.3 - 10 * sigma) for sigma in (0.001, 0.02)]

    def said(name: str, arms: list[Made]) -> str:
        (subject,) = subjects_of(make(tmp_path / f"{name}.db", arms))
        return " · ".join(curves.chosen_notes(subject))

    assert said("alone", [temperatures[0], perturbed[0]]) == ""
    assert said("one", [*temperatures, perturbed[0]]) == "T 0.2: best of 2 by pass@4, chosen on these problems, which flatters it"
    assert said("both", temperatures + perturbed) == "best by pass@4; both were chosen on these problems, which flatters both"


def test_arms_that_tie_are_all_named_and_one_arm_is_compared_with_none(tmp_path: Path) -> None:
    sure = [Made("temperature", t, 2, 99) for t in (0.4, 0.8)]
    (both,) = subjects_of(make(tmp_path / "both.db", [*sure, Made("temperature", 1.2, 2, 0)], 19))
    wide = drawn(problems.coverage_against_depth(both))
    assert title(wide).startswith("T 0.4 and T 0.8 solve most problems, 100.0%; T 0.4 and T 0.8 solve their own most often")
    assert "not drawn, without a correct draw: T 1.2" in notes(wide)
    assert title(drawn(problems.correct_counts(both))).startswith("T 0.4 and T 0.8 leave fewest problems unsolved, 0.0%")
    (alone,) = subjects_of(make(tmp_path / "one.db", sure[:1], 19))
    found = [title(drawn(plot(alone))) for plot in (problems.coverage_against_depth, problems.correct_counts)]
    assert found[0].startswith("T 0.4 solves 100.0% of the problems, and those by 100.0% of its draws")
    assert found[1].startswith("T 0.4 leaves 0.0% of the problems unsolved")


def test_luck_is_explained_only_where_models_are_above_a_base(tmp_path: Path) -> None:
    arm = Made("perturbation", 0.01, 8)
    for name, arms in (("with", [GREEDY, arm]), ("without", [arm])):
        (subject,) = subjects_of(make(tmp_path / f"{name}.db", arms))
        assert ("above base" in notes(drawn(problems.accuracy_of_draws(subject)))) == (name == "with")


def test_chance_that_leaves_the_axes_is_named_where_it_does(tmp_path: Path) -> None:
    arms = [Made("temperature", 0.6, 64, 0.002)]
    (subject,) = subjects_of(make(tmp_path / "r.db", arms, chance=0.05))
    (axes,) = drawn(curves.of_method(subject, TEMPERATURE)).axes
    (name,) = [text for text in axes.texts if text.get_text().startswith("chance")]
    x, y = name.xy  # type: ignore[attr-defined]
    assert y == axes.get_ylim()[1] < 0.5
    assert 1 < x < 64


def test_a_line_never_breaks_within_an_interval_or_an_arms_name() -> None:
    text = "T 0.4 above σ 0.01 by 5.2 points at k = 8 [0.5, 9.8]"
    for width in range(12, 60):
        lines = style.wrapped(text, width).splitlines()
        assert " ".join(lines) == text
        assert not any(each.endswith(("T", "σ", "k", "=", "[0.5,")) for each in lines)


def test_titles_fit_their_picture_and_wide_characters_count_as_two() -> None:
    long = "σ 0.015: 50% of its models solve more than the unchanged one, 0.0%; the best perturbed model solves 8.3% (σ 0.015)"
    with style.applied():
        made, _ = style.figure(long, [])
        made.draw_without_rendering()
        box = made._suptitle.get_window_extent(FigureCanvasAgg(made).get_renderer())  # type: ignore[attr-defined]
        assert box.x1 <= 0.99 * made.bbox.width
    assert (
        max(map(width_of, style.wrapped("模型 " + "倒计时" * 20, 30).splitlines())) <= 31
    )  # a character may be cut from its second half
    assert "".join(style.wrapped("倒计时" * 20, 30).split()) == "倒计时" * 20


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


@pytest.mark.filterwarnings("error")
def test_a_name_that_the_default_font_lacks_is_drawn_or_said(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [Made("temperature", 0.6, 4, 0.5, "组织/模型-7B")], 10)
    seen = overview(path)
    lines = save(seen, read_plotted(reading.open_database(path), seen), tmp_path, ["pass-at-k-temperature"])
    assert "组织/模型-7B, 10 problems" in (tmp_path / "7B-pass-at-k-temperature.svg").read_text()
    fonts, missing = families("组织模型")
    assert any(line.startswith(f"no installed font has {missing}") for line in lines) == bool(missing)
    assert (len(fonts) > 1) == (set(missing) != set("组织模型"))
    assert families("T 0.4 above σ 0.01, −1 ◆") == (["DejaVu Sans"], "")
