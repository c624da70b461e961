"""`report --plot NAME`: a name that is no plot of that report is refused before anything is read, printed or written."""

from pathlib import Path

import pytest

from tests.conftest import Run
from tests.helpers.errors import one_line_error

REPORTS = [[], ["--compare"], ["--select"], ["--budget"]]


@pytest.mark.parametrize("words", REPORTS, ids=str)
def test_a_plot_that_a_report_lacks_is_refused_before_anything_is_read(esprobe: Run, tmp_path: Path, words: list[str]) -> None:
    done = esprobe("--db", "missing.db", "report", *words, "--plots", "plots", "--plot", "nothing")
    assert "this report has no plot 'nothing'; its plots: " in one_line_error(done, 1)
    assert (done.stdout, list(tmp_path.iterdir())) == ("", [])


@pytest.mark.parametrize(
    ("words", "typed", "meant"),
    [
        ([], "pass-at-k-overlayed", "pass-at-k-overlaid"),
        (["--compare"], "paired-diference", "paired-difference"),
        (["--select"], "select-vote", "select-votes"),
        (["--budget"], "budgets", "budget"),
    ],
    ids=str,
)
def test_a_plot_that_is_almost_named_is_suggested(esprobe: Run, swept: Path, words: list[str], typed: str, meant: str) -> None:
    done = esprobe("--db", swept, "report", *words, "--plot", typed)
    assert f"this report has no plot '{typed}'; did you mean {meant}" in one_line_error(done, 1)
    assert done.stdout == ""
