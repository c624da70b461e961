"""`report --select` as people and programs get it: rows of one shape, tables that fit, plots, and what options exclude."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from esprobe.report.layout import width_of
from tests.conftest import Run, run_esprobe
from tests.helpers.made import by_two_ways, make
from tests.helpers.terminal import on_terminal

VERDICTS = {problem: "".join("+-"[(draw * (problem + 2)) % 3 % 2] for draw in range(16)) for problem in range(8)}


ARMS = [("greedy", None, dict.fromkeys(VERDICTS, "+")), ("temperature", 0.5, VERDICTS), ("perturbation", 0.01, VERDICTS)]
OF_VOTES = (
    "vote_test",
    "any_test",
    "vote_random",
    "any_random",
    "temperature_vote",
    "temperature_pass",
    "vote_over_temperature",
)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("select") / "r.db", ARMS)


@pytest.fixture(scope="module")
def stricter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same verdicts, with expressions."""
    return make(tmp_path_factory.mktemp("stricter") / "r.db", ARMS, voted=by_two_ways)


def test_programs_get_one_row_per_figure(chosen: Path, esprobe: Run) -> None:
    done = esprobe("--db", chosen, "report", "--select", "--format", "json", "-k", "1,8")
    rows = json.loads(done.stdout)
    assert all(list(row) == ["arm_id", "N_or_K", "quantity", "value", "low", "high"] for row in rows)
    found = {(row["quantity"], row["N_or_K"]): row for row in rows}
    assert {at for name, at in found if name == "best_test"} == {1, 2, 4, 8, 16}
    assert {at for name, at in found if name == "vote_test"} == {1, 8}
    for name in ("best_train", "best_test_null", "gain_test", "best_over_greedy"):
        assert found[name, 4]["low"] <= found[name, 4]["value"] <= found[name, 4]["high"]
    for name in OF_VOTES:
        assert found[name, 8]["low"] <= found[name, 8]["value"] <= found[name, 8]["high"]
    assert found["models", None]["value"] == 16
    assert found["base_greedy", None]["value"] == 1
    assert 0 < found["p_of_no_spread", None]["value"] <= 1


def test_votes_by_expression_are_quantities_with_names_of_their_own(chosen: Path, stricter: Path, esprobe: Run) -> None:
    def figures(path: Path) -> dict[str, float]:
        rows = json.loads(esprobe("--db", path, "report", "--select", "--format", "json", "-k", "8").stdout)
        return {row["quantity"]: row["value"] for row in rows}

    found = figures(stricter)
    by_expression = {name for name in found if name.endswith("_by_expression")}
    assert by_expression == {f"{name}_by_expression" for name in OF_VOTES if "vote" in name} | {"vote_over_random_by_expression"}
    assert found["vote_test"] > found["vote_test_by_expression"] + 0.1  # only wrong answers agree
    assert found["temperature_vote"] > found["temperature_vote_by_expression"] + 0.1
    assert not any("expression" in name for name in figures(chosen))  # no answer there has one


def test_tables_of_votes_name_their_ballots(chosen: Path, stricter: Path) -> None:
    titles = ["K models together, by vote with ballots by value, and with a verifier:"]
    stricter_title = "K models together, by vote with ballots by expression:"
    for path, wanted in ((chosen, titles), (stricter, [*titles, stricter_title])):
        lines = on_terminal(120, "--db", path, "report", "--select").splitlines()
        assert [line.strip() for line in lines if line.startswith("K models together")] == wanted


def test_there_is_no_interval_where_few_models_decide_on_halves(chosen: Path, esprobe: Run, tmp_path: Path) -> None:
    words = ("--db", chosen, "report", "--select", "-k", "2,4")
    rows = list(csv.DictReader(io.StringIO(esprobe(*words, "--format", "csv").stdout)))
    ends = {(row["quantity"], row["N_or_K"]): (row["low"], row["high"]) for row in rows}
    for name in ("best_test", "gain_test", "best_over_greedy"):
        assert {at: ends[name, at] == ("", "") for at in ("1", "4", "8", "16")} == {"1": False, "4": False, "8": True, "16": True}
    for name in ("vote_test", "any_test", "vote_over_random", "vote_over_temperature", "any_over_pass"):
        assert {at: ends[name, at] == ("", "") for at in ("2", "4")} == {"2": True, "4": False}
    assert all(ends[name, "2"] != ("", "") for name in ("vote_random", "any_random", "temperature_vote", "temperature_pass"))
    text = esprobe(*words, "--format", "markdown").stdout
    assert text.count("no interval where fewer than 4 models decide") == 1
    assert len(re.findall(r"% \[–\]", text)) == 2 + 2  # best of 8 and of 16; the vote of two, and any of them
    assert "The best of 4 has" in text
    train = tmp_path / "train.jsonl"
    train.write_text("\n".join(json.dumps({"numbers": [i + 1, 40 + i, 7], "target": str(100 + i)}) for i in range(4)))
    assert "[–]" not in esprobe(*words, "--train", train).stdout


def test_the_same_data_give_the_same_figures(chosen: Path, esprobe: Run) -> None:
    words = ("--db", chosen, "report", "--select", "--format", "csv")
    assert esprobe(*words).stdout == esprobe(*words).stdout


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_the_terminal(chosen: Path, width: int) -> None:
    text = on_terminal(width, "--db", chosen, "report", "--select")
    assert max(map(width_of, text.splitlines())) <= width
    for word in ("on train", "on test", "vote:", "any:", "equal:"):
        assert word in text


def test_plots_are_drawn_and_listed(chosen: Path, esprobe: Run, tmp_path: Path) -> None:
    done = esprobe("--db", chosen, "report", "--select", "--plots", tmp_path / "plots")
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    kinds = ("best-of-n", "test-against-train", "votes")
    assert names == {f"m-arm-3-select-{kind}.{ending}" for kind in kinds for ending in ("png", "svg", "pdf")}
    assert all(name in done.stdout for name in names)


def test_models_that_solve_nothing_are_one_line_and_no_picture(esprobe: Run, tmp_path: Path) -> None:
    make(tmp_path / "r.db", [("perturbation", 0.01, dict.fromkeys(range(4), "----"))])
    done = esprobe("--db", tmp_path / "r.db", "report", "--select", "--plots", tmp_path / "plots", "--plot", "select-best-of-n")
    assert "skipped m-arm-1-select-best-of-n: no sample of these models is correct" in done.stdout
    assert list((tmp_path / "plots").iterdir()) == []
    assert done.stdout.split("\n\n")[1].startswith("No rollout of these arms is correct; `esprobe ")
    assert not re.search(r"best of N|K models|Greedy decoding|accuracies", done.stdout)
    rows = json.loads(esprobe("--db", tmp_path / "r.db", "report", "--select", "--format", "json").stdout)
    assert {row["quantity"] for row in rows} >= {"best_test", "gain_test", "vote_test"}


def solving(problems: int, draws: int, every: int) -> dict[int, str]:
    """Verdicts: every so many draws are right, on two of three problems."""
    return {i: "".join("+-"[i % 3 == 0 or draw % every > 0] for draw in range(draws)) for i in range(problems)}


def test_the_report_opens_with_what_choosing_is_worth(tmp_path: Path) -> None:
    nothing = dict.fromkeys(range(90), "-" * 32)
    base = [("greedy", None, nothing), ("temperature", 0.5, solving(90, 16, 8))]
    good, bad = ("perturbation", 0.01, solving(90, 32, 4)), ("perturbation", 0.02, nothing)
    figures = r"on the test problems: \+\d+\.\d \[\+\d+\.\d, \+\d+\.\d\] points"
    for arms, flattered in (([good], ""), ([good, bad], ", the best of 2 populations, which flatters it")):
        path = make(tmp_path / f"{len(arms)}.db", [*base, *arms])
        first = " ".join(on_terminal(80, "--db", path, "report", "--select").split("\n\n\n")[0].split())
        assert re.fullmatch(
            rf"The best of 8 models at σ 0.01 is above greedy decoding {figures}{flattered}\. "
            rf"The vote of the best 16 models at σ 0.01 is above that of 16 samples at the best T {figures}{flattered}\.",
            first,
        )
    for style in ("csv", "json"):
        assert "above" not in run_esprobe("--db", path, "report", "--select", "--format", style).stdout


def test_what_cannot_be_told_apart_is_not_said_to_be_better(chosen: Path, esprobe: Run) -> None:
    said = esprobe("--db", chosen, "report", "--select", "--format", "markdown").stdout.split("\n\n")[:2]
    assert re.match(r"The best of 4 models at σ 0.01 and greedy decoding cannot be told apart on the test problems: −", said[0])
    assert said[0].endswith(" points (not trustworthy: few models or problems (8)).")
    assert "and that of 8 samples at the best T cannot be told apart" in said[1]


def test_options_that_exclude_one_another_are_wrong_usage(chosen: Path, esprobe: Run) -> None:
    assert esprobe("--db", chosen, "report", "--select", "--compare").returncode == 2
    assert "--train is for --select" in esprobe("--db", chosen, "report", "--train", "x.jsonl").stderr
