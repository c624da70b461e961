"""The texts of plots: titles and notes that say what was found and how surely, and names that cover nothing and are whole."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from esprobe.analysis import reading
from esprobe.analysis.plotted import read_plotted
from esprobe.report.layout import width_of
from esprobe.report.plots import curves, findings, problems, style, votes
from esprobe.report.plots.data import Point
from esprobe.report.plots.fonts import families
from esprobe.report.plots.labels import beside, spread
from esprobe.report.plots.save import save_plots
from esprobe.stats.intervals import Interval
from esprobe.stats.paired import Difference
from tests.helpers.figures import drawn, notes, subjects_of, title
from tests.helpers.rated import GREEDY, Made, make
from tests.helpers.wired import overview


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


def test_votes_of_arms_of_unequal_depths_are_all_in_the_title(tmp_path: Path) -> None:
    (subject,) = subjects_of(make(tmp_path / "r.db", [Made("temperature", 0.4, 8, 0.9), Made("temperature", 0.8, 5, 0.1)]))
    assert title(drawn(votes.vote_at_k(subject))).count("T 0.4 solves most at k = 5") == 2


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


def test_notes_say_what_was_chosen_and_nothing_where_there_was_no_choice(tmp_path: Path) -> None:
    temperatures = [Made("temperature", t, 4, 0.9 - t) for t in (0.2, 0.6)]
    perturbed = [Made("perturbation", sigma, 4, 0.3 - 10 * sigma) for sigma in (0.001, 0.02)]

    def said(name: str, arms: list[Made]) -> str:
        (subject,) = subjects_of(make(tmp_path / f"{name}.db", arms))
        return " · ".join(curves.chosen_notes(subject))

    assert said("alone", [temperatures[0], perturbed[0]]) == ""
    assert said("one", [*temperatures, perturbed[0]]) == "T 0.2: best of 2 by pass@4, chosen on these problems, which flatters it"
    assert said("both", temperatures + perturbed) == "best by pass@4; both were chosen on these problems, which flatters both"


def test_luck_is_explained_only_where_models_are_above_a_base(tmp_path: Path) -> None:
    arm = Made("perturbation", 0.01, 8)
    for name, arms in (("with", [GREEDY, arm]), ("without", [arm])):
        (subject,) = subjects_of(make(tmp_path / f"{name}.db", arms))
        assert ("above base" in notes(drawn(problems.accuracy_of_draws(subject)))) == (name == "with")


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


@pytest.mark.filterwarnings("error")
def test_a_name_that_the_default_font_lacks_is_drawn_or_said(tmp_path: Path) -> None:
    path = make(tmp_path / "r.db", [Made("temperature", 0.6, 4, 0.5, "组织/模型-7B")], 10)
    seen = overview(path)
    lines = save_plots(seen, read_plotted(reading.open_database(path), seen), tmp_path, ["pass-at-k-temperature"])
    assert "组织/模型-7B, 10 problems" in (tmp_path / "7B-pass-at-k-temperature.svg").read_text()
    fonts, missing = families("组织模型")
    assert any(line.startswith(f"no installed font has {missing}") for line in lines) == bool(missing)
    assert (len(fonts) > 1) == (set(missing) != set("组织模型"))
    assert families("T 0.4 above σ 0.01, −1 ◆") == (["DejaVu Sans"], "")
