"""The SQL cookbook runs in the plain sqlite3 shell on the demo's database and gives what the document shows."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / ".demo/demo.db"
COOKBOOK = (ROOT / "migrations/README.md").read_text().partition("## SQL cookbook")[2]
ENTRIES = re.findall(r"\d+\. \*\*(.*?)\*\*\n\n```sql\n(.*?)```\n\n```text\n(.*?)```", COOKBOOK, re.DOTALL)


@pytest.fixture(scope="module")
def shell() -> list[str]:
    program = shutil.which("sqlite3")
    if program is None or not DEMO.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("needs the sqlite3 shell and the database of `make demo`")
        pytest.skip("needs the sqlite3 shell, and `make demo` first")
    return [program, "-box", str(DEMO)]


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in table.splitlines() if line.startswith("│")]


def test_there_are_ten_questions() -> None:
    assert len(ENTRIES) == 10


@pytest.mark.parametrize(("question", "sql", "shown"), ENTRIES, ids=[e[0] for e in ENTRIES])
def test_a_query_gives_what_the_cookbook_shows(shell: list[str], question: str, sql: str, shown: str) -> None:
    done = subprocess.run([*shell, sql], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    now, then = cells(done.stdout), cells(shown)
    assert now[0] == then[0]
    # Another kind of processor may break a tie between two tokens the other way, which moves single rollouts and no more;
    # so rows may swap or drop out at the edge, but what they say stays close.
    assert abs(len(now) - len(then)) <= 1
    numbers = [[float(c) for row in table[1:] for c in row if re.fullmatch(r"[\d.]+", c)] for table in (now, then)]
    assert sum(numbers[0]) == pytest.approx(sum(numbers[1]), rel=0.1, abs=30)
