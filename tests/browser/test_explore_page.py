"""The page in a real browser: groups, filters, search, sort, deep links, keyboard, hostile text, light and dark, no network."""

import re
from pathlib import Path
from typing import Any

import pytest

from esprobe.analysis.reading import open_database, query
from esprobe.stats.estimator import pass_at_k
from esprobe.tasks.base import Facts
from tests.browser.conftest import Opener
from tests.helpers.made import HOSTILE, by_two_ways, make
from tests.helpers.wired import explore

TEMPERATURE = {0: "+++-", 1: "+---", 2: "----", 3: "--++", 4: "----", 5: "+---", 6: "----"}
PERTURBATION = {0: "+---", 1: "----", 2: "+---", 3: "++++", 4: "----", 5: "----", 7: "+---"}
ARMS = [("greedy", None, {0: "+", 1: "-"}), ("temperature", 0.5, TEMPERATURE), ("perturbation", 0.01, PERTURBATION)]
PAIRS = "#view=problems"
GROUPS = {"both": [1, 4], "first": [2, 6], "second": [3], "neither": [5]}
FACTS = [Facts(True, "1 + 7", 0.125), Facts(False, None, 0.0), Facts(None, None, None)]


@pytest.fixture
def page(tmp_path: Path, open_page: Opener) -> Any:
    """Three arms over eight problems; problem 7 and 8 are drawn by one arm each."""
    make(tmp_path / "r.db", ARMS, facts=FACTS)
    explore(tmp_path / "r.db", tmp_path / "p.html")
    return open_page(tmp_path / "p.html", PAIRS)


def listed(page: Any) -> list[int]:
    return [int(text) for text in page.locator("#rows td:first-child").all_inner_texts()]


def count(page: Any, group: str) -> int:
    return int(page.locator(f"#group-{group} b").inner_text())


def fragment(page: Any) -> str:
    return page.evaluate("location.hash")


def focused(page: Any) -> str:
    return page.evaluate("document.activeElement.closest('tr')?.firstChild.textContent ?? document.activeElement.id")


def test_group_counts_are_those_of_sql_and_a_click_filters(swept: Path, tmp_path: Path, open_page: Opener) -> None:
    explore(swept, tmp_path / "p.html")
    page = open_page(tmp_path / "p.html", PAIRS)
    first, second = (int(page.locator(f"#{side}").input_value()) for side in ("first", "second"))
    sql = (
        "SELECT a.problem_id, a.c > 0, b.c > 0 FROM solved AS a JOIN solved AS b USING (problem_id, scorer) "
        "WHERE a.arm_id = ? AND b.arm_id = ? ORDER BY a.problem_id"
    )
    rows = query(open_database(swept), sql, [first, second])[1]
    wanted = {"both": (1, 1), "first": (1, 0), "second": (0, 1), "neither": (0, 0)}
    for group, solved in wanted.items():
        ids = [problem_id for problem_id, *pair in rows if tuple(pair) == solved]
        assert count(page, group) == len(ids)
        page.click(f"#group-{group}")
        assert listed(page) == ids
        assert page.get_attribute(f"#group-{group}", "aria-pressed") == "true"
    page.click("#group-all")
    assert listed(page) == [row[0] for row in rows]


def test_other_arms_are_other_groups(page: Any) -> None:
    assert {group: count(page, group) for group in GROUPS} == {"both": 2, "first": 2, "second": 1, "neither": 1}
    assert "2 problems are in no group: not drawn by both arms" in page.inner_text("#fairness")
    page.click("#group-second")
    page.click("#swap")
    assert (count(page, "first"), listed(page)) == (1, [3])  # the chosen group is swapped with the arms
    page.click("#group-all")
    page.select_option("#second", label="greedy")
    assert [count(page, group) for group in GROUPS] == [1, 0, 0, 1]
    assert "the groups count the first 1 of each" in page.inner_text("#fairness")


def test_groups_count_equally_many_draws_of_both_arms(tmp_path: Path, open_page: Opener) -> None:
    late = {0: "--+-----", 1: "-------+", 2: "+-------"}
    make(tmp_path / "r.db", [("temperature", 0.5, late), ("perturbation", 0.01, {0: "--", 1: "+-", 2: "--"})])
    explore(tmp_path / "r.db", tmp_path / "p.html")
    page = open_page(tmp_path / "p.html", PAIRS)
    assert {group: count(page, group) for group in GROUPS} == {"both": 0, "first": 1, "second": 1, "neither": 1}
    assert "8 and 2 draws per problem: the groups count the first 2 of each" in page.inner_text("#fairness")


UNSEEN = "\u202e\u2066\u200b\u200d\u00ad\U000e0041\U000e0100\ufe0f\u3164\u2800\ufeff\u0007\u2028\u115f\u180e\ue000"


def test_what_cannot_be_seen_is_shown_as_its_code(tmp_path: Path, open_page: Opener) -> None:
    facts = [Facts(True, f"1{UNSEEN}", 0.1)]
    make(tmp_path / "r.db", ARMS, text=lambda *_: f"a{UNSEEN}b\n\tc", answer=f"5{UNSEEN}", facts=facts)
    explore(tmp_path / "r.db", tmp_path / "p.html")
    page = open_page(tmp_path / "p.html", "#problem=1")
    shown = page.inner_text("body")
    assert not set(UNSEEN) & set(shown)
    for character in UNSEEN:
        code = f"{ord(character):04x}" if ord(character) < 0x10000 else f"U{ord(character):08x}"
        assert shown.count(code) >= 3, code
    assert "\n\tc" in page.locator("pre").first.inner_text()


def test_an_arm_stands_beside_chance_and_ceiling(page: Any) -> None:
    page.select_option("#first", label="greedy")
    assert page.inner_text("#first-facts").split("\n") == [
        "1 draw per problem",
        "1 of 2 solved, 1 can be",
        f"pass@1 50.0% (chance {6.25:.1f}%)",  # a tie, rounded as Python does
    ]
    assert "chance" not in page.inner_text("#second-facts")  # not known for every problem


def test_votes_have_a_line_for_each_kind_of_ballot(tmp_path: Path, open_page: Opener) -> None:
    tied = {0: "+--+" * 4, 1: "++--" * 4, 2: "+" * 16}
    make(tmp_path / "r.db", [*ARMS[:1], ("temperature", 0.5, tied), ("perturbation", 0.01, tied)], voted=by_two_ways)
    explore(tmp_path / "r.db", tmp_path / "p.html")
    page = open_page(tmp_path / "p.html", PAIRS)
    for role in ("first", "second"):
        # two problems are a tie by value; by expression the 8 wrong answers, which are the same, outvote 8 different ones
        lines = [re.sub(r"\s+", " ", line) for line in page.locator(f"#{role}-votes p").all_inner_texts()]
        assert lines == ["by value: vote@8 66.7% vote@16 66.7%", "by expression: vote@8 33.3% vote@16 33.3%"]
    said = page.inner_text("#voting")
    assert "By value, answers of one value vote alike. By expression, only answers that are the same" in said
    page.select_option("#second", label="greedy")
    assert page.inner_text("#second-votes") == ""
    assert page.inner_text("#voting") == said
    page.select_option("#first", label="greedy")
    assert page.locator("#voting").is_hidden()


def test_answers_without_expressions_have_one_line_of_votes(page: Any) -> None:
    assert page.locator("#first-votes p").count() == 1
    assert page.inner_text("#first-votes").startswith("by value:")
    assert "expression" not in page.inner_text("main")


def test_search_finds_numbers_from_their_start_and_says_how_many(page: Any) -> None:
    assert page.inner_text("#count") == "8 problems"
    assert page.get_attribute("#count", "aria-live") == "polite"
    for words, ids in {"103": [4], "10": list(range(1, 9)), "03": [], "target 104": [5], "#2": [2], "nothing": []}.items():
        page.fill("#search", words)
        assert listed(page) == ids, words
    assert page.inner_text("#count") == "0 of 8 problems"


def test_sorting_by_every_column_both_ways(page: Any) -> None:
    page.click("#sort-first button")
    assert page.get_attribute("#sort-first", "aria-sort") == "descending"
    assert listed(page) == [1, 4, 2, 6, 3, 5, 7, 8]  # what was never drawn comes last
    page.click("#sort-first button")
    assert listed(page) == [3, 5, 7, 2, 6, 4, 1, 8]
    page.click("#sort-difference button")
    assert listed(page)[:2] == [1, 2]
    page.click("#sort-chance button")
    assert listed(page)[:2] == [1, 4]
    assert listed(page)[-1] == 3
    page.click("#sort-id button")
    page.click("#sort-id button")
    assert listed(page) == [8, 7, 6, 5, 4, 3, 2, 1]


def test_a_link_brings_back_everything(page: Any, open_page: Opener, tmp_path: Path) -> None:
    page.click("#swap")
    page.click("#group-both")
    page.fill("#search", "target")
    page.click("#sort-second button")
    page.click("#rows tr:nth-child(2)")
    link = fragment(page)
    other = open_page(tmp_path / "p.html", link)
    for which in (page, other):
        assert listed(which) == [1, 4]
        assert which.inner_text("#detail-title") == "Problem 4"
        assert which.input_value("#search") == "target"
        assert which.input_value("#first") == "3"
    assert re.search(r"first=[0-9a-f]{12}&.*problem=[0-9a-f]{12}$", link)  # the same in another database
    page.go_back()
    assert page.locator("#detail").is_hidden()
    assert open_page(tmp_path / "p.html", "#problem=4").inner_text("#detail-title") == "Problem 4"
    bad = open_page(tmp_path / "p.html", "#view=problems&problem=999&first=x&group=%3Cb%3E&sort=-nothing&k=7&curves=x")
    assert listed(bad) == list(range(1, 9))


def test_a_problem_shows_its_facts_rates_curve_and_rollouts(page: Any) -> None:
    page.click("#rows tr:nth-child(1)")
    facts = page.inner_text("#detail .facts").split("\n")
    assert facts[:6] == ["numbers", "1, 40, 7", "target", "100", "a solution", "1 + 7"]
    assert facts[6:] == ["chance", "12.5%, one random valid answer in 8"]
    rows = page.locator("#rates tbody tr").all_inner_texts()
    assert [re.sub(r"\s+", " ", row).strip() for row in rows] == [
        "greedy 1 of 1 100.0%",
        "temperature T 0.5 (first arm) 3 of 4 75.0%",
        "perturbation σ 0.01 (second arm) 1 of 4 25.0%",
    ]
    curve = [row.split("\t") for row in page.locator("#curve tbody tr").all_inner_texts()]
    for k, first, second, chance in curve:
        wanted = [pass_at_k(4, 3, int(k)), pass_at_k(4, 1, int(k)), 1 - 0.875 ** int(k)]
        assert [first, second, chance] == [f"{100 * share:.1f}%" for share in wanted]
    assert "pass@k from k = 1 to 4" in page.get_attribute("#detail svg", "aria-label")
    cards = page.locator("#detail section.second article").all_inner_texts()
    assert [card.split("\n")[0] for card in cards] == ["✓ correct", "✗ wrong value", "✗ wrong value", "✗ wrong value"]
    assert re.search(r"draw 0 · seed of the perturbation \d{10,} · 9 tokens · ended by stop", cards[0])
    assert page.locator("#detail section.second mark").all_inner_texts() == ["0 + 0", "1 + 0", "2 + 0", "3 + 0"]
    page.click("#next")
    assert "none: proven unsolvable" in page.inner_text("#detail .facts")
    page.click("#next")
    assert page.inner_text("#detail .facts").count("not known") == 2
    assert focused(page) == "next"
    for _ in range(5):
        page.keyboard.press("Enter")
    assert (page.inner_text("#detail-title"), focused(page)) == ("Problem 8", "detail-title")  # there is no next one
    assert "This arm never drew this problem." in page.inner_text("#detail section.first")


def test_everything_can_be_done_with_the_keyboard(page: Any) -> None:
    keys = page.keyboard
    keys.press("/")
    assert focused(page) == "search"
    keys.type("target 10")
    assert page.input_value("#search") == "target 10"
    keys.press("ArrowDown")
    assert focused(page) == "1"
    for key, row in (("ArrowDown", "2"), ("End", "8"), ("ArrowUp", "7"), ("Home", "1"), ("ArrowUp", "1"), ("ArrowDown", "2")):
        keys.press(key)
        assert focused(page) == row
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keys.press("Enter")
    assert page.inner_text("#detail-title") == "Problem 2"
    assert focused(page) == "detail-title"
    page.focus("#rows [aria-current]")
    keys.press("ArrowDown")  # the open problem follows the list
    assert (page.inner_text("#detail-title"), focused(page)) == ("Problem 3", "3")
    assert re.search(r"problem=[0-9a-f]{12}$", fragment(page))
    keys.press("Escape")
    assert page.locator("#detail").is_hidden()
    assert focused(page) == "3"
    keys.press("/")
    keys.press("Escape")
    assert page.input_value("#search") == ""
    page.focus("#group-first")
    keys.press("Space")
    assert listed(page) == [2, 6]
    assert focused(page) == "group-first"


def test_every_control_has_a_name_and_landmarks_are_there(page: Any) -> None:
    page.click("#rows tr:nth-child(1)")
    controls = "[...document.querySelectorAll('button, select, input')].filter(e => e.checkVisibility())"
    names = f"{controls}.map(e => e.innerText || e.ariaLabel || e.labels[0].innerText)"
    assert all(page.evaluate(names))
    for role in ("banner", "main", "contentinfo", "status", "table"):
        assert page.get_by_role(role).count() >= 1, role
    assert page.get_by_role("button", name="Swap the two arms").count() == 1
    assert page.get_by_role("combobox", name="First arm").count() == 1


@pytest.mark.parametrize("answer", ["1 + 1", "<img src=x onerror=alert(5)>", "</script><script>alert(6)</script>"])
def test_hostile_rollouts_are_shown_and_never_run(tmp_path: Path, open_page: Opener, answer: str) -> None:
    make(
        tmp_path / "r.db", ARMS, text=lambda *_: HOSTILE, answer=answer, facts=[Facts(True, "<img src=x onerror=alert(7)>", 0.1)]
    )
    explore(tmp_path / "r.db", tmp_path / "p.html")
    page = open_page(tmp_path / "p.html", "#problem=1&search=<img onerror=alert(8)>")
    shown = page.locator("#detail pre").first.inner_text()
    assert "</script><script>window.hacked = 1; alert(1)</script><img src=x onerror=" in shown
    assert "\\u202e" in shown  # what would turn the line around is shown as its code
    assert page.locator("#detail code").first.inner_text() == "<img src=x onerror=alert(7)>"
    assert answer in page.locator("#detail article .where").nth(1).inner_text()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, svg[onload], #detail script").count() == 0


def test_the_policy_stops_a_script_that_is_put_in_all_the_same(page: Any, tmp_path: Path, open_page: Opener) -> None:
    html = (tmp_path / "p.html").read_text().replace("</body>", "<script>window.hacked = 1</script></body>")
    (tmp_path / "evil.html").write_text(html)
    context = page.context.browser.new_context()
    evil = context.new_page()
    evil.goto((tmp_path / "evil.html").as_uri())
    evil.wait_for_selector("html[data-ready=true]")
    assert evil.evaluate("window.hacked") is None
    context.close()


def test_a_long_text_is_shown_with_a_mark_where_it_was_cut(tmp_path: Path, open_page: Opener) -> None:
    make(tmp_path / "r.db", ARMS[:2], text=lambda d, p: "begin " + "x" * 20_000 + f"\n<answer> {d} + {p} </answer> end")
    explore(tmp_path / "r.db", tmp_path / "p.html")
    page = open_page(tmp_path / "p.html", "#problem=1")
    shown = page.locator("#detail pre").first.inner_text()
    assert shown.startswith("begin")
    assert shown.endswith("end")
    assert re.search(r"… 1\d,\d{3} characters left out here …", shown)
    assert page.locator("#detail mark").first.inner_text() == "0 + 0"
    assert re.search(r"\d+ texts are longer than about 4,000 bytes and were shortened", page.inner_text("#left-out"))


@pytest.mark.parametrize(
    "arms",
    [
        [("temperature", 0.5, {0: "+-", 1: "--"})],
        [("temperature", 0.5, {0: "-", 1: "-"}), ("perturbation", 0.1, {0: "-", 1: "-"})],
        [("temperature", 0.5, {0: "+"}), ("perturbation", 0.1, {0: "---+"})],
        [("greedy", None, {0: "+"}), ("imported", None, {1: "+" * 100})],
        [("temperature", i / 10, dict.fromkeys(range(30), "+-" * (i % 3 + 1))) for i in range(12)],
    ],
    ids=["one arm", "all zero", "one problem", "nothing in common", "twelve arms"],
)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 800)])
def test_the_page_fits_in_light_and_dark_wide_and_narrow(
    tmp_path: Path, open_page: Opener, arms: Any, scheme: str, width: int
) -> None:
    make(tmp_path / "r.db", arms)
    explore(tmp_path / "r.db", tmp_path / "p.html")
    page = open_page(tmp_path / "p.html", color_scheme=scheme, viewport={"width": width, "height": 800})
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(253, 253, 252)"
    assert light == (scheme == "light")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    assert len(page.screenshot(full_page=True)) > 10_000
    page.click("#view-problems")
    assert page.evaluate(wide) == 0
    page.click("#rows tr")
    assert page.evaluate(wide) == 0
    assert len(page.screenshot(full_page=True, path=tmp_path / "page.png")) > 10_000
    same = page.input_value("#first") == page.input_value("#second")
    assert page.locator("#group-first").is_hidden() == same
