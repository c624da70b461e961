"""Ctrl-C ends a query that would never end."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ESPROBE, HANGS_S
from tests.helpers.midway import cpu_seconds, has_open, wait_until


@pytest.mark.parametrize("what", ["count(*)", "*"])
def test_ctrl_c_ends_an_endless_query(swept: Path, what: str) -> None:
    query = f"with recursive r(x) as (select 1 union all select x + 1 from r) select {what} from r"
    process = subprocess.Popen([str(ESPROBE), "--db", str(swept), "sql", query], stderr=subprocess.PIPE, text=True)
    wait_until(process, lambda: has_open(process.pid, swept))
    begun = cpu_seconds(process.pid)
    wait_until(process, lambda: cpu_seconds(process.pid) > begun + 0.3)  # much more than it needs before the query
    process.send_signal(signal.SIGINT)
    try:
        _, stderr = process.communicate(timeout=HANGS_S)
    finally:
        process.kill()
    assert process.returncode == 130
    assert stderr == "error: interrupted\n"  # there is nothing to continue
