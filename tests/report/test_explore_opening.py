"""What the page opens on, and what it says first: the arms and the findings of the comparison."""

from pathlib import Path

import pytest

from esprobe.analysis import reading
from esprobe.analysis.arms import Filter
from esprobe.analysis.comparison import compare
from tests.conftest import Run
from tests.helpers import rated
from tests.helpers.made import make
from tests.helpers.page import PAIR, data, plain, written
from tests.helpers.wired import explore


def test_the_page_opens_with_the_best_arm_of_each_method(tmp_path: Path) -> None:
    worse = ("temperature", 0.2, {0: "+---", 1: "----", 2: "----"})
    core, _ = written(tmp_path, worse, *PAIR, ("perturbation", 0.02, {0: "----", 1: "----", 2: "----"}))
    assert [core["arms"][core[side]]["name"] for side in ("first", "second")] == ["temperature T 0.5", "perturbation σ 0.01"]


def test_an_arm_with_more_draws_is_not_opened_for_having_had_more_tries(tmp_path: Path) -> None:
    more = ("temperature", 0.9, dict.fromkeys(range(3), "-" * 9 + "+"))  # solves all, with ten draws
    few = ("temperature", 0.5, {0: "++--", 1: "++--", 2: "----"})
    core, _ = written(tmp_path, more, few, ("temperature", 0.4, {0: "----", 1: "+---", 2: "----"}), PAIR[1])
    assert core["arms"][core["first"]]["name"] == "temperature T 0.5"


def test_one_arm_stands_beside_itself(tmp_path: Path) -> None:
    core, _ = written(tmp_path, PAIR[0])
    assert (len(core["arms"]), core["first"], core["second"]) == (1, 0, 0)


def test_the_page_opens_with_the_arms_that_the_comparison_names(swept: Path, tmp_path: Path) -> None:
    explore(swept, tmp_path / "p.html")
    core, _ = data(tmp_path / "p.html")
    (compared,) = compare(reading.open_database(swept), Filter())
    assert [core["arms"][core[side]]["id"] for side in ("first", "second")] == [compared.first.arm_id, compared.second.arm_id]


def test_a_trained_model_opens_next_to_its_base(trained: Path, tmp_path: Path, esprobe: Run) -> None:
    assert esprobe("--db", trained / "esprobe.db", "explore", "--method", "temperature,greedy").returncode == 0
    core, _ = data(tmp_path / "esprobe.html")
    shown = [core["arms"][core[side]] for side in ("first", "second")]
    assert [arm["short"] for arm in shown] == ["es-1@2 T 0.8", "countdown-tiny T 0.8"]


def test_the_page_says_what_the_comparison_finds(swept: Path, tmp_path: Path) -> None:
    explore(swept, tmp_path / "p.html")
    core, _ = data(tmp_path / "p.html")
    (compared,) = compare(reading.open_database(swept), Filter())
    last = compared.steps[-1].difference
    (said,) = plain(core["found"])
    assert f"at k = {last.k}" in said
    low, high = sorted(abs(round(100 * end, 1)) for end in last.interval)
    for points in (abs(last.difference) * 100, low, high):
        assert f"{points:.1f}" in said
    explore(make(tmp_path / "one.db", PAIR[:1]), tmp_path / "p.html")
    assert data(tmp_path / "p.html")[0]["found"] == []


@pytest.mark.parametrize(
    ("greedy", "says"), [("-", "No draw of any arm is correct."), ("+", "No draw of T 0.5 or σ 0.01 is correct.")]
)
def test_the_page_says_plainly_that_nothing_is_correct(tmp_path: Path, greedy: str, says: str) -> None:
    wrong = [(method, value, {0: "--", 1: "--"}) for method, value, _ in PAIR]
    assert plain(written(tmp_path, ("greedy", None, {0: greedy, 1: "-"}), *wrong)[0]["found"]) == [says]


def test_the_page_says_something_of_each_model_with_both_methods(tmp_path: Path) -> None:
    def said(models: str) -> list[str]:
        arms = [rated.Made(method, 0.5, 4, model=model) for model in models for method in ("temperature", "perturbation")]
        rated.make(tmp_path / f"{models}.db", [*arms, rated.Made("temperature", 0.5, 4, model="z")], 8)
        explore(tmp_path / f"{models}.db", tmp_path / "p.html")
        return plain(data(tmp_path / "p.html")[0]["found"])

    assert [one.partition(":")[0] for one in said("ab")] == ["a", "b"]
    assert [one.partition(":")[0] for one in said("abcdef")] == ["a", "b", "c", "d", "2 more models in the table."]
