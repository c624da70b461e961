"""Ctrl-C ends a query that would never end."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ESPROBE


@pytest.mark.parametrize("what", ["count(*)", "*"])
def test_ctrl_c_ends_an_endless_query(swept: Path, what: str) -> None:
    query = f"with recursive r(x) as (select 1 union all select x + 1 from r) select {what} from r"
    process = subprocess.Popen([str(ESPROBE), "--db", str(swept), "sql", query], stderr=subprocess.PIPE, text=True)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    try:
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert stderr.startswith("error: interrupted")
