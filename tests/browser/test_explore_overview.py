"""What the page opens on, in a real browser: all arms in a table, curves with a switch to votes, trainings, links, keyboard."""

import re
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Opener
from tests.helpers.made import by_two_ways, make
from tests.helpers.wired import explore, load_arms

CELLS = {0: "+++-", 1: "+---", 2: "----", 3: "--++"}
ARMS = [
    ("greedy", None, {0: "+", 1: "-", 2: "-", 3: "-"}),
    ("temperature", 0.5, CELLS),
    ("temperature", 0.9, {0: "+++-", 1: "----", 2: "----", 3: "---+"}),
    ("perturbation", 0.01, {0: "----", 1: "+---", 2: "----", 3: "++++"}),
    ("perturbation", 0.2, dict.fromkeys(range(4), "----")),
]


@pytest.fixture
def page(tmp_path: Path, open_page: Opener) -> Any:
    make(tmp_path / "r.db", ARMS, voted=by_two_ways)
    explore(tmp_path / "r.db", tmp_path / "p.html")
    return open_page(tmp_path / "p.html")


KEYS = "(all) => all.map((one) => [one.textContent, getComputedStyle(one.firstChild).borderTopStyle])"


def cells(page: Any, row: str) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(f"#arms tr[data-arm='{row}'] > *").all_inner_texts()]


def lines(page: Any) -> list[str]:
    """The names at the ends of lines, of marks, and nothing that is not drawn."""
    return page.locator("#curves svg .series title").all_text_contents()


def test_the_page_opens_on_all_arms_with_the_figures_of_the_report(page: Any, tmp_path: Path) -> None:
    assert page.inner_text("#view-overview") == "Overview"
    assert page.locator("#problems").is_hidden()
    heads = page.locator("#arms thead th").all_inner_texts()
    votes = ["vote@4 by value", "vote@4 by expression"]
    assert heads == ["arm", "pass@1", "pass@4", *votes, "chance@4", "solved", "draws", "tokens", "compare"]
    named = ["greedy", "temperature T 0.5", "temperature T 0.9", "perturbation σ 0.01", "perturbation σ 0.2"]
    for i, arm in enumerate(load_arms(tmp_path / "r.db")):
        shown = cells(page, str(i))
        assert shown[0] == named[i]
        one = arm.at[1]
        assert shown[1] == f"{100 * one.pass_at_k:.1f}% [{100 * one.interval.low:.1f}, {100 * one.interval.high:.1f}]"
        assert shown[6] == str(arm.problems_solved)
    assert cells(page, "0")[2:6] == ["–"] * 4  # greedy has one draw
    assert page.inner_text("#arms .group") == "m · countdown · 4 problems"


def test_another_k_is_another_table(page: Any) -> None:
    page.select_option("#k", "2")
    assert page.locator("#arms thead th").all_inner_texts()[2] == "pass@2"
    assert cells(page, "1")[2].startswith("58.3%")  # (1 + 1/2 + 0 + 5/6) / 4
    page.select_option("#k", "1")
    assert page.locator("#arms thead th").all_inner_texts()[1:3] == ["pass@1", "chance@1"]
    assert "k=1" in page.evaluate("location.hash")


def test_curves_switch_to_votes_and_leave_out_what_solves_nothing(page: Any) -> None:
    assert set(lines(page)) == {"greedy", "T 0.5", "T 0.9", "σ 0.01", "chance"}
    assert page.inner_text("#curves .idle") == "Solves no problem, so not drawn: σ 0.2."
    assert page.locator("#curves .band").count() == 2  # of the two arms that are compared
    assert page.locator("#curves .kind-0 polyline").count() == 0  # greedy is a mark, no line across k
    assert page.locator("#curves .series.kind-0 path").count() == 1
    assert "greedy 25.0%" in page.locator("#curves .name").all_text_contents()
    assert "best at its last k: T 0.5, 75.0%" in page.get_attribute("#curves svg", "aria-label")
    page.click("#curves-expression")
    assert page.get_attribute("#curves-expression", "aria-pressed") == "true"
    assert set(lines(page)) == {"T 0.5", "T 0.9", "σ 0.01"}
    assert page.inner_text("#curves figcaption") == "vote@k by expression"


def order(page: Any) -> list[str]:
    return [str(row.get_attribute("data-arm")) for row in page.locator("#arms tr[data-arm]").all()]


def sorts(page: Any) -> dict[str, str]:
    heads = page.locator("#arms thead th[aria-sort]").all()
    return {head.inner_text().rstrip(" ↓↑"): str(head.get_attribute("aria-sort")) for head in heads}


def test_a_press_on_a_columns_head_sorts_the_arms_by_it(page: Any, tmp_path: Path, open_page: Opener) -> None:
    assert order(page) == ["0", "1", "2", "3", "4"]
    assert set(sorts(page).values()) == {"none"}
    page.get_by_role("button", name="pass@4", exact=True).click()
    assert order(page) == ["1", "2", "3", "4", "0"]  # 75%, 50%, 50%, 0%; greedy, with one draw, has none and is last
    assert sorts(page)["pass@4"] == "descending"
    page.keyboard.press("Enter")  # the head is still focused
    assert order(page) == ["4", "2", "3", "1", "0"]
    assert sorts(page)["pass@4"] == "ascending"
    other = open_page(tmp_path / "p.html", page.evaluate("location.hash"))
    assert order(other) == ["4", "2", "3", "1", "0"]
    page.get_by_role("button", name="arm", exact=True).click()
    assert order(page) == ["0", "1", "2", "3", "4"]
    assert page.evaluate("location.hash") == ""


def test_a_pair_is_chosen_in_the_table_and_seen_problem_by_problem(page: Any, tmp_path: Path, open_page: Opener) -> None:
    assert page.locator("#arms [aria-pressed=true]").count() == 2
    page.get_by_role("button", name="temperature T 0.9 as the second arm").click()
    link = page.evaluate("location.hash")
    page.click("#view-problems")
    assert page.locator("#sort-second button").inner_text().split() == ["T", "0.9"]
    assert [page.locator(f"#{side} option:checked").inner_text() for side in ("first", "second")] == ["T 0.5", "T 0.9"]
    page.go_back()
    assert page.locator("#overview").is_visible()
    other = open_page(tmp_path / "p.html", link)
    assert other.locator("#arms [data-arm='2'] [aria-pressed=true]").inner_text() == "2"


def test_a_link_to_a_view_brings_back_k_and_curves(page: Any, tmp_path: Path, open_page: Opener) -> None:
    page.select_option("#k", "2")
    page.click("#curves-value")
    other = open_page(tmp_path / "p.html", page.evaluate("location.hash"))
    assert other.input_value("#k") == "2"
    assert other.get_attribute("#curves-value", "aria-pressed") == "true"
    wrong = open_page(tmp_path / "p.html", "#view=nothing&k=3&curves=<b>")
    assert wrong.locator("#overview").is_visible()
    assert wrong.input_value("#k") == "4"


def test_the_keyboard_reaches_every_view_and_lights_an_arms_line(page: Any) -> None:
    page.focus("#view-problems")
    page.keyboard.press("Enter")
    assert page.locator("#problems").is_visible()
    page.focus("#view-overview")
    page.keyboard.press("Space")
    page.focus("#arms [data-arm='3'] .choose")
    assert page.locator("#curves .series.lit title").all_text_contents() == ["σ 0.01"]
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"


def test_settings_prompt_and_versions_are_said(swept: Path, tmp_path: Path, open_page: Opener) -> None:
    explore(swept, tmp_path / "p.html")
    page = open_page(tmp_path / "p.html")
    page.click("#overview summary")
    said = page.inner_text("#origin")
    for words in ("esprobe.db", "runs", "max new tokens", "float32", "Using the numbers", "torch "):
        assert words in said
    assert "esprobe.db" in page.inner_text("#about")


def test_a_training_has_a_view_of_its_own(trained: Path, tmp_path: Path, open_page: Opener) -> None:
    explore(trained / "esprobe.db", tmp_path / "p.html")
    page = open_page(tmp_path / "p.html", "#view=training")
    captions = page.locator("#training figcaption").all_inner_texts()
    assert captions == [
        "Learning curve",
        *(f"Accuracy by budget, {how}" for how in ("without a verifier: vote", "with a verifier: any is right")),
    ]
    assert page.inner_text("#training h2") == "countdown-tiny and es"
    assert "Without a verifier" in page.inner_text("#training .said >> nth=0")
    assert page.locator("#training table").count() == 2
    keys = dict(page.locator("#training .legend li").evaluate_all(KEYS))
    assert (keys["samples"], keys["perturbed models"]) == ("solid", "dashed")  # as the lines are
    page.click("#view-overview")
    assert page.locator("#arms .group").count() == 5
    assert "es-1@1, 1 step of training from countdown-tiny" in page.inner_text("#arms")


def test_a_wrong_answer_is_shown_with_the_value_that_it_came_out_at(page: Any) -> None:
    page.evaluate("location.hash = '#problem=1'")
    page.wait_for_selector("#detail article")
    answers = page.locator("#detail section.second article .where:nth-child(3)").all_inner_texts()
    assert all(re.fullmatch(r"answer \d \+ 0 = 99", answer) for answer in answers)


def test_thirty_arms_of_two_models_have_lines_with_names_apart(tmp_path: Path, open_page: Opener) -> None:
    arms = [("temperature", i / 20, dict.fromkeys(range(6), "+-" * (1 + i % 3))) for i in range(1, 16)]
    arms += [("perturbation", i / 100, dict.fromkeys(range(6), "-+--" * (1 + i % 2))) for i in range(1, 16)]
    make(tmp_path / "r.db", arms)
    explore(tmp_path / "r.db", tmp_path / "p.html")
    page = open_page(tmp_path / "p.html")
    boxes = page.evaluate(
        "[...document.querySelectorAll('#curves .name')].map(e => e.getBoundingClientRect()).map(r => r.y).sort((a, b) => a - b)"
    )
    assert len(boxes) == 31
    assert all(b - a > 8 for a, b in pairwise(boxes))
    colours = page.evaluate(
        "new Set([...document.querySelectorAll('#curves .series polyline')].map(e => getComputedStyle(e).stroke)).size"
    )
    assert colours == 31


@pytest.mark.parametrize("width", [390, 800, 1400])
def test_long_and_hostile_names_of_models_fit(page: Any, tmp_path: Path, open_page: Opener, width: int) -> None:
    name = "/home/someone/<img src=x onerror=alert(1)>" + "long-name-" * 12
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection, connection:
        connection.execute("UPDATE model SET name = ?", [name])
        connection.execute("INSERT INTO model (digest, name) VALUES ('e', ?)", [f"{name}-2"])
        connection.execute("UPDATE arm SET model_id = 2 WHERE id = 4")
    explore(tmp_path / "r.db", tmp_path / "p.html")
    for link in ("", "#view=problems", "#problem=1", "#problem=1&second=3"):
        shown = open_page(tmp_path / "p.html", link, viewport={"width": width, "height": 800})
        assert shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0, link
        assert shown.locator("img").count() == 0
    named = shown.locator("#first option").all_inner_texts()
    assert {name.partition(", ")[0] for name in named} == {"greedy", "T 0.5", "T 0.9", "σ 0.01", "σ 0.2"}  # the model after it


# Two marks and lines of unlike length, as the page has them of several trained models; what overlaps: [name, name or line].
OVERLAPS = """
(width) => {
  const line = (name, ends, more) => ({ name, tone: "kind-1", points: ends, band: false, mark: "dot", ...more });
  const mark = (name, share) => line(name, [[1, share]], { mark: "diamond", label: true });
  const series = [mark("es@8 greedy", 0.164), mark("es@16 greedy", 0.188),
    line("es@8 T 0.4", [[1, 0.17], [4, 0.35], [16, 0.52]]), line("es@16 T 0.4", [[1, 0.16], [4, 0.34], [16, 0.5]]),
    line("T 1.2", [[1, 0.03], [8, 0.21], [32, 0.48], [64, 0.61]]), line("T 0.8", [[1, 0.02], [8, 0.16], [32, 0.4], [64, 0.52]])];
  const svg = chart({ series, about: "", title: "k", width });
  document.getElementById("curves").replaceChildren(svg);
  const boxes = [...svg.querySelectorAll(".name")].map((one) => [one.textContent, one.getBBox()]);
  const found = [];
  boxes.forEach(([name, box], i) => {
    for (const [other, { x, y, width, height }] of boxes.slice(0, i)) {
      const beside = box.x >= x + width || x >= box.x + box.width;
      if (!beside && box.y + 3 < y + height && y + 3 < box.y + box.height) found.push([name, other]);
    }
    for (const each of svg.querySelectorAll(".series polyline")) {
      const length = each.getTotalLength();
      for (let at = 0; at <= length; at++) {
        const { x, y } = each.getPointAtLength(at);
        const inside = x > box.x && x < box.x + box.width && y > box.y + 2 && y < box.y + box.height - 2;
        if (inside) found.push([name, "a line"]);
        if (inside) break;
      }
    }
  });
  return [boxes.length, found];
}
"""


@pytest.mark.parametrize("width", [300, 640, 1300])
def test_names_cover_neither_one_another_nor_a_line(page: Any, width: int) -> None:
    assert page.evaluate(OVERLAPS, width) == [6, []]


def test_marks_without_any_line_have_their_names_above_them(page: Any) -> None:
    greedy = {"name": "greedy", "tone": "kind-0", "points": [[1, 0.4]], "mark": "diamond", "label": True}
    svg = "(series) => { const svg = chart({ series, about: '', title: 'k', width: 400 }); byId('curves').replaceChildren(svg);"
    below = "return svg.querySelector('.series path').getBBox().y - svg.querySelector('.name').getBBox().y; }"
    assert page.evaluate(svg + below, [greedy]) > 5


def test_heads_of_the_list_are_whole_on_a_tablet(page: Any) -> None:
    page.set_viewport_size({"width": 800, "height": 900})
    page.click("#view-problems")
    heights = page.locator("#sorts button").evaluate_all("(all) => all.slice(0, 5).map((one) => one.clientHeight)")
    assert len(heights) == 5  # up to the second arm; the difference has two words
    assert max(heights) <= 1.5 * min(heights)  # of one line


def test_a_table_that_is_wider_than_its_frame_says_so_until_its_end(page: Any) -> None:
    frame = page.locator("#overview .scroll")
    assert page.locator("#wider").is_hidden()
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_selector("#wider", state="visible")
    assert "gradient" in frame.evaluate("(one) => getComputedStyle(one).maskImage")
    frame.evaluate("(one) => { one.scrollLeft = one.scrollWidth; }")
    page.wait_for_selector("#wider", state="hidden")
    assert frame.evaluate("(one) => getComputedStyle(one).maskImage") == "none"
