"""Whether another process has ended, by its number, its start and its machine; of other machines that is unknown."""

import os
import subprocess
import sys

from esprobe.pipeline import process


def test_a_process_knows_whether_another_is_gone() -> None:
    me = process.identity()
    assert not process.is_gone(me)
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    assert process.is_gone(me | {"pid": ended.pid})
    assert process.is_gone(me | {"boot": "another"})
    assert process.is_gone(me | {"started": 1})
    assert not process.is_gone(me | {"node": "another", "boot": "another"})
    assert not process.is_gone(me | {"numbers": "another", "pid": ended.pid})
    assert not process.is_gone(me | {"pid": 1 << 40})
    unnoticed = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, unnoticed.pid, os.WEXITED | os.WNOWAIT)
    assert process.is_gone(me | {"pid": unnoticed.pid})
    unnoticed.wait()
    assert not process.is_gone({})
