"""What the documents say of pandas, DuckDB, Slurm and second scorers works as typed, with fewer samples."""

import importlib.util
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.store import schema
from tests.conftest import ESPROBE, HANGS_S, Run, lacking
from tests.helpers.midway import count

DOCUMENT = (Path(__file__).parents[2] / "migrations/README.md").read_text()
SECTION = DOCUMENT.partition("## In other programs")[2].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def folder(swept: Path, tmp_path: Path) -> Path:
    shutil.copy(swept, tmp_path / "esprobe.db")
    return tmp_path


def test_pandas_draws_the_curves(folder: Path) -> None:
    if importlib.util.find_spec("pandas") is None:
        lacking("the package pandas")
    (script,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=HANGS_S)
    assert done.returncode == 0, done.stderr
    assert (folder / "pass-at-k.png").read_bytes().startswith(b"\x89PNG")


def test_duckdb_writes_parquet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("duckdb", "duckdb_extension_sqlite_scanner"):
        if importlib.util.find_spec(package) is None:
            lacking(f"the package {package}")
    import duckdb
    import duckdb_extension_sqlite_scanner as scanner

    extension = Path(scanner.__file__).parent / f"extensions/v{duckdb.__version__}/sqlite_scanner.duckdb_extension"
    monkeypatch.chdir(folder)
    (script,) = blocks("sql")
    with closing(duckdb.connect()) as connection:
        connection.execute(f"LOAD '{extension}'")  # what DuckDB fetches by itself where there is a network
        connection.execute(script)
        written = connection.execute("SELECT count(*), sum(correct) FROM 'rollouts.parquet'").fetchone()
    with closing(sqlite3.connect("esprobe.db")) as database:
        assert written == database.execute("SELECT count(*), sum(correct) FROM score").fetchone()


def test_an_array_of_tasks_merges_into_what_one_process_makes(esprobe: Run, tmp_path: Path) -> None:
    array, merging = (block.replace("-n 512", "-n 2 --limit 2 --max-new-tokens 8") for block in blocks("bash"))
    env = os.environ | {"PATH": f"{ESPROBE.parent}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}
    for task in ("0", "1"):
        words = ["bash", "-e", "-c", array]
        subprocess.run(words, cwd=tmp_path, env=env | {"SLURM_ARRAY_TASK_ID": task}, check=True, timeout=HANGS_S)
    subprocess.run(["bash", "-e", "-c", merging], cwd=tmp_path, env=env, check=True, timeout=HANGS_S)
    assert count(tmp_path / "all.db") == 2 * (1 + 2 + 2)  # the greedy arm of all parts is one
    together = ["sample-temp", "-T", "0.4,0.8", "-n", "2", "--limit", "2", "--max-new-tokens", "8"]
    assert esprobe("--db", "all.db", *together).stdout.startswith("0 of 10 rollouts generated")


def test_every_query_of_the_document_names_the_scorer() -> None:
    scored = {*schema.view_statements(), "score"} - {"training"}
    queries = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL) + re.findall(r'"(select .*)"', DOCUMENT)
    asking = [query for query in queries if scored & set(re.findall(r"\w+", query))]
    assert len(asking) > 10
    for query in asking:
        assert re.search(r"scorer = '\w", query), query
