"""`report --select` as people and programs get it: rows of one shape, tables that fit, plots, and what options exclude."""

import json
from pathlib import Path

import pytest

from esprobe.report.layout import width_of
from tests.conftest import Run
from tests.helpers.made import make
from tests.helpers.terminal import on_terminal

VERDICTS = {problem: "".join("+-"[(draw * (problem + 2)) % 3 % 2] for draw in range(6)) for problem in range(8)}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    arms = [("greedy", None, dict.fromkeys(VERDICTS, "+")), ("temperature", 0.5, VERDICTS)]
    return make(tmp_path_factory.mktemp("select") / "r.db", [*arms, ("perturbation", 0.01, VERDICTS)])


def test_programs_get_one_row_per_figure(chosen: Path, esprobe: Run) -> None:
    done = esprobe("--db", chosen, "report", "--select", "--format", "json", "-k", "1,3")
    rows = json.loads(done.stdout)
    assert all(list(row) == ["arm_id", "N_or_K", "quantity", "value", "low", "high"] for row in rows)
    found = {(row["quantity"], row["N_or_K"]): row for row in rows}
    assert {at for name, at in found if name == "best_test"} == {1, 2, 4, 6}
    assert {at for name, at in found if name == "vote_test"} == {1, 3}
    for name in ("best_train", "best_test_null", "gain_test", "best_over_greedy"):
        assert found[name, 6]["low"] <= found[name, 6]["value"] <= found[name, 6]["high"]
    for name in ("any_test", "vote_random", "any_random", "temperature_vote", "temperature_pass", "vote_over_temperature"):
        assert found[name, 3]["low"] <= found[name, 3]["value"] <= found[name, 3]["high"]
    assert found["models", None]["value"] == 6
    assert found["base_greedy", None]["value"] == 1
    assert 0 < found["p_of_no_spread", None]["value"] <= 1


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
    assert names == {f"m-arm-3-select-{kind}.{ending}" for kind in kinds for ending in ("png", "svg")}
    assert all(name in done.stdout for name in names)


def test_options_that_exclude_one_another_are_wrong_usage(chosen: Path, esprobe: Run) -> None:
    assert esprobe("--db", chosen, "report", "--select", "--compare").returncode == 2
    assert "--train is for --select" in esprobe("--db", chosen, "report", "--train", "x.jsonl").stderr
