"""`esprobe.results` for Python: named rows that equal the views and the report, read without a change to the database."""

import csv
import importlib.util
import io
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import esprobe
from esprobe.analysis.results import Results
from esprobe.errors import UserError
from tests.conftest import lacking
from tests.helpers.made import by_two_ways, make
from tests.helpers.wired import report

ARMS: list[tuple[str, float | None, Mapping[int, str]]] = [
    ("greedy", None, {0: "+", 1: "-", 2: "-"}),
    ("temperature", 0.5, {0: "+---", 1: "++--", 2: "----"}),
    ("temperature", 1.0, {0: "----", 1: "+---", 2: "----"}),
    ("perturbation", 0.01, {0: "-+--", 1: "+---", 2: "----"}),
    ("perturbation", 0.02, {0: "-", 1: "+", 2: "-"}),
]
METHODS: list[Callable[[Results], list[Any]]] = [
    Results.arms,
    Results.pass_at_k,
    Results.vote_at_k,
    Results.draw_accuracy,
    Results.cover_at_tau,
    Results.solved,
    Results.problems,
    Results.rollouts,
    Results.runs,
]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("results") / "r.db", ARMS)


@pytest.fixture
def results(db: Path) -> Results:
    return esprobe.results(db)


def asked(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql).fetchall()


def test_importing_esprobe_loads_nothing_heavy() -> None:
    heavy = "{'sqlite3', 'numpy', 'torch', 'sqlalchemy', 'transformers', 'matplotlib', 'esprobe.analysis'}"
    code = f"import sys, esprobe; print(esprobe.__version__, esprobe.results.__name__, sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{esprobe.__version__} results []\n"


def test_asking_loads_no_numpy_and_no_torch(db: Path) -> None:
    code = (
        "import sys, esprobe; r = esprobe.results(sys.argv[1]); r.pass_at_k(); r.cover_at_tau(); r.rollouts(); "
        "print(sorted({'numpy', 'torch', 'sqlalchemy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(db)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("method", "view", "columns"),
    [
        (
            Results.arms,
            "arm_summary",
            "arm_id, problems, draws, rollouts, correct, problems_solved, unknown, cut_off",
        ),
        (Results.pass_at_k, "pass_at_k", "arm_id, model, method, value, k, problems, pass_at_k, stderr, chance, scorer"),
        (Results.vote_at_k, "vote_at_k", "arm_id, task, model, method, value, k, problems, vote_at_k, scorer"),
        (Results.draw_accuracy, "draw_accuracy", "arm_id, method, value, draw, seed, problems, correct, accuracy, reward"),
        (Results.cover_at_tau, "cover_at_tau", "arm_id, method, value, tau, problems, cover_at_tau, chance, scorer"),
        (Results.solved, "solved", "scorer, arm_id, problem_id, n, c"),
        (Results.rollouts, "rollout_text", "rollout_id, arm_id, draw, seed, problem_id, text, correct, reason, ballot, run_id"),
    ],
)
def test_rows_have_what_the_views_have(
    db: Path, results: Results, method: Callable[[Results], list[Any]], view: str, columns: str
) -> None:
    names = columns.split(", ")
    found = [tuple(getattr(row, name) for name in names) for row in method(results)]
    expected = asked(db, f"SELECT {columns} FROM {view}")
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert len(found) == len(set(found)) > 0


def test_intervals_are_those_of_the_report(db: Path, results: Results) -> None:
    records = csv.DictReader(io.StringIO(report(db, ks=(1, 2, 3), style="csv")))
    said = {(int(r["arm_id"]), int(r["k"])): r for r in records}
    rows = results.pass_at_k(k=[1, 2, 3])
    assert {(row.arm_id, row.k) for row in rows} == set(said)
    for row in rows:
        record = said[row.arm_id, row.k]
        for name in ("pass_at_k", "low", "high", "above_chance", "above_chance_low", "above_chance_high"):
            value = getattr(row, name)
            assert ("" if value is None else repr(value)) == record[name]
    assert {row.doubt for row in rows if row.method == "perturbation"} == {"few models (4)", "1 model"}
    assert all(row.low is None for row in rows if row.doubt == "1 model")


@pytest.fixture(scope="module")
def voted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same arms, and one whose 40 models are in 20 blocks of two; with ballots of both kinds."""
    many = ("perturbation", 0.03, {0: "+--+" * 10, 1: "++--" * 10, 2: "-+++" * 10})
    return make(tmp_path_factory.mktemp("voted") / "r.db", [*ARMS, many], voted=by_two_ways)


def test_votes_and_their_intervals_are_those_of_the_report(voted: Path) -> None:
    said = {(int(r["arm_id"]), int(r["k"])): r for r in csv.DictReader(io.StringIO(report(voted, ks=(1, 2, 4), style="csv")))}
    rows = esprobe.results(voted).vote_at_k(k=[1, 2, 4])
    assert {(row.arm_id, row.k, row.by) for row in rows} == {(*at, by) for at in said for by in ("value", "expression")}
    for row in rows:
        record, start = said[row.arm_id, row.k], f"vote_by_{row.by}"
        for figure, name in ((row.vote_at_k, start), (row.low, f"{start}_low"), (row.high, f"{start}_high")):
            assert ("" if figure is None else repr(figure)) == record[name]
        assert record[f"{start}_doubt"] == ("" if row.low is None else row.doubt)
    doubts = {(row.value, row.k): row.doubt for row in rows if row.method == "perturbation"}
    assert doubts[0.01, 4] == doubts[0.02, 1] == "1 block of models"
    assert doubts[0.01, 2] == "few blocks of models (2)"
    assert all((row.low is None) == (row.doubt == "1 block of models") for row in rows)
    at = {(row.arm_id, row.k, row.by): row.vote_at_k for row in rows}
    assert at[2, 4, "value"] == pytest.approx((0 + 0.5 + 0) / 3)  # of +---, ++-- and ----, a tie being shared
    assert at[2, 4, "expression"] == 0


def test_votes_are_at_the_k_and_by_the_ballots_that_are_asked_for(db: Path, voted: Path) -> None:
    results = esprobe.results(voted)
    assert {row.by for row in results.vote_at_k()} == {"value", "expression"}
    assert {row.by for row in results.vote_at_k(by="expression")} == {"expression"}
    assert [row.k for row in results.vote_at_k(by=["value"], arm=2)] == [1, 2, 4]
    assert [row.k for row in results.vote_at_k(k=3, by="value")] == [3] * 4  # two arms have a single draw
    assert results.vote_at_k(k=100) == []
    assert {row.by for row in esprobe.results(db).vote_at_k()} == {"value"}  # no answer there has an expression
    assert esprobe.results(db).vote_at_k(by="expression") == []
    with pytest.raises(UserError, match="there are no ballots by 'words'; by is 'value' or 'expression'"):
        results.vote_at_k(by="words")  # type: ignore[arg-type]  # what a user without a type checker may write


def test_every_share_is_within_its_interval(results: Results) -> None:
    for draw in results.draw_accuracy():
        assert 0 <= draw.low <= draw.accuracy <= draw.high <= 1
        assert draw.high - draw.low > 0.3  # three problems
    for cover in results.cover_at_tau():
        if cover.method == "perturbation":
            assert (cover.low, cover.high) == (None, None)
        else:
            assert cover.low is not None
            assert cover.high is not None
            assert 0 <= cover.low <= cover.cover_at_tau <= cover.high <= 1


def test_filters_are_those_of_the_report(results: Results) -> None:
    assert [row.value for row in results.arms(method="temperature")] == [0.5, 1.0]
    assert [row.value for row in results.arms(value=[0.5, 0.01])] == [0.5, 0.01]
    assert [row.arm_id for row in results.arms(arm=(2, 4), task="countdown", model="m")] == [2, 4]
    assert {row.method for row in results.pass_at_k(method=["greedy", "perturbation"])} == {"greedy", "perturbation"}
    assert len(results.rollouts(arm=2)) == 12
    (right,) = results.rollouts(arm=2, correct=True, problem=results.problems()[0].problem_id)
    assert (right.draw, right.correct, right.payload["numbers"]) == (0, True, [1, 40, 7])
    for filters in ({"method": "greed"}, {"value": 0.7}, {"arm": 99}, {"task": "gsm8k"}, {"scorer": "mine"}):
        with pytest.raises(UserError):
            results.arms(**filters)  # type: ignore[arg-type]


def test_problems_and_runs(results: Results) -> None:
    first, *_ = results.problems(arm=1)
    assert (first.task, first.payload["target"], first.solvable, first.chance) == ("countdown", "100", True, 1 / 8)
    assert len(results.problems()) == 3
    (run,) = results.runs()
    assert (run.state, run.command, run.rollouts) == ("done", "test", 3 * (1 + 4 + 4 + 4 + 1))


def test_sql_gives_named_rows_whatever_the_columns_are_called(results: Results) -> None:
    rows = results.sql("SELECT method, count(*), 1, 2 AS class, 3 AS method FROM arm WHERE value > ? GROUP BY method", [0.1])
    assert [tuple(row) for row in rows] == [("temperature", 2, 1, 2, 3)]
    assert rows[0]._fields == ("method", "count", "column_1", "column_class", "method_2")
    assert rows[0].count == 2
    with pytest.raises(UserError, match="only queries"):
        results.sql("DELETE FROM arm")


def test_the_database_is_only_read(db: Path, results: Results) -> None:
    before = sha256(db.read_bytes()).hexdigest()
    for method in METHODS:
        assert method(results)
    assert sha256(db.read_bytes()).hexdigest() == before


def test_no_database_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results yet; run"):
        esprobe.results(tmp_path / "none.db").arms()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", METHODS)
def test_pandas_takes_the_rows_as_they_are(results: Results, method: Callable[[Results], list[Any]]) -> None:
    rows = method(results)
    # what pandas asks for: a list of tuples of which the first has `_fields`
    assert isinstance(rows, list)
    assert all(isinstance(row, tuple) and row._fields == rows[0]._fields for row in rows)
    if importlib.util.find_spec("pandas") is None:
        lacking("pandas")
    import pandas

    frame = pandas.DataFrame(rows)
    assert list(frame.columns) == list(rows[0]._fields)
    assert len(frame) == len(rows)
