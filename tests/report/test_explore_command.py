"""`esprobe explore`: which arms the page is about, where it is written and opened, and clear words where it cannot be."""

import re
from pathlib import Path

import pytest

from esprobe.errors import UserError
from esprobe.report.explore.write import PER_CELL
from tests.conftest import Run
from tests.helpers.errors import one_line_error
from tests.helpers.page import data
from tests.helpers.wired import explore


def test_the_command_writes_the_page_and_says_how_much_is_in_it(swept: Path, tmp_path: Path, esprobe: Run) -> None:
    done = esprobe("--db", swept, "explore")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"esprobe\.html: 0\.\d MB with 5 arms, 12 problems and \d+ of 300 rollouts\n", done.stdout)
    assert (tmp_path / "esprobe.html").read_text().startswith("<!doctype html>")
    assert f"at most. [{PER_CELL}]" in esprobe("explore", "--help", env={"COLUMNS": "200"}).stdout


def test_arms_are_chosen_as_in_the_report(swept: Path, tmp_path: Path, esprobe: Run) -> None:
    for words, arms, method in ((["--method", "temperature"], 2, "temperature"), (["--value", "0.01"], 1, "perturbation")):
        assert esprobe("--db", swept, "explore", *words, "--model", "TINY", "--task", "countdown").returncode == 0
        core, _ = data(tmp_path / "esprobe.html")
        assert [arm["name"].split()[0] for arm in core["arms"]] == [method] * arms
    assert "with 2 arms" in esprobe("--db", swept, "explore", "--arm", "1,3").stdout
    assert "no arm passes these filters" in one_line_error(esprobe("--db", swept, "explore", "--model", "nobody"), 1)
    assert "there is no arm 99" in one_line_error(esprobe("--db", swept, "explore", "--arm", "99"), 1)
    assert "there is no method" in one_line_error(esprobe("--db", swept, "explore", "--method", "magic"), 2)


def test_the_page_is_opened_where_there_is_a_browser(swept: Path, tmp_path: Path, esprobe: Run) -> None:
    assert esprobe("--db", swept, "explore", "--open", env={"BROWSER": "true"}).returncode == 0


def test_errors_are_one_line_that_says_what_to_do(swept: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results yet; run"):
        explore(tmp_path / "none.db", tmp_path / "p.html")
    with pytest.raises(UserError, match="no rollouts scored by 'mine'"):
        explore(swept, tmp_path / "p.html", scorer="mine")
    with pytest.raises(UserError, match=r"cannot be written .*; name another file with --out"):
        explore(swept, tmp_path / "no-such-folder/p.html")
    with pytest.raises(UserError, match="is a database or belongs to one"):
        explore(swept, swept)
    assert not list(tmp_path.glob("*"))
