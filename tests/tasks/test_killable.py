"""A library's functions run where they can be stopped: a call that hangs, dies or lies in wait ends nothing but itself."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from esprobe.errors import UserError
from esprobe.tasks import guarded
from esprobe.tasks.killable import FailedError, Killable, StoppedError

MODULE = """
import os, sys, time
def double(x): return 2 * x
def process(): return os.getpid()
def hang():
    while True: pass
def big(): return len(9 ** 9 ** 9 ** 9 * "x")
def fails(): raise KeyError("x")
def exits(): sys.exit(3)
def dies(): os._exit(3)
def eats(): return len(bytearray(1 << 40))
def prints(): print("noise"); os.write(1, b"noise"); return 1
def writes(path): open(path, "w").write("x")
def runs(path): return os.system("touch " + path)
def deep(n): return deep(n - 1) + 1 if n else 0
def unsayable(): return {1, 2}
def order(): return list({"a", "b", "c", "d"})
"""


@pytest.fixture
def killable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killable]:
    (tmp_path / "strange_functions.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    made = Killable("strange_functions", "json", "x")
    yield made
    made.close()


def test_calls_are_answered_by_one_process(killable: Killable) -> None:
    assert killable.call("double", "é\ud800") == "é\ud800" * 2
    assert killable.call("process") == killable.call("process") != os.getpid()


@pytest.mark.parametrize("function", ["hang", "big"])
def test_a_call_that_takes_too_long_is_stopped_and_the_next_is_answered(killable: Killable, function: str) -> None:
    with pytest.raises(StoppedError):
        killable.call(function, limit_s=0.2)
    assert killable.call("double", 4) == 8


@pytest.mark.parametrize("function", ["fails", "exits", "dies", "eats", "unsayable"])
def test_a_call_that_fails_says_so_and_the_next_is_answered(killable: Killable, function: str) -> None:
    with pytest.raises(FailedError):
        killable.call(function)
    assert killable.call("double", 4) == 8


def test_a_call_writes_no_file_and_starts_no_process(killable: Killable, tmp_path: Path) -> None:
    for function in ("writes", "runs"):
        with pytest.raises(FailedError, match="PermissionError"):
            killable.call(function, str(tmp_path / "written"))
    assert not (tmp_path / "written").exists()


def test_what_a_library_prints_is_no_answer(killable: Killable) -> None:
    assert [killable.call("prints"), killable.call("double", 1)] == [1, 2]


def test_deep_recursion_is_a_failure(killable: Killable) -> None:
    with pytest.raises(FailedError, match="RecursionError"):
        killable.call("deep", 10**6)


def test_sets_have_one_order_in_every_process(killable: Killable) -> None:
    first = killable.call("order")
    killable.close()
    assert killable.call("order") == first


def test_threads_get_their_own_answers(killable: Killable) -> None:
    got: dict[int, int] = {}
    threads = [threading.Thread(target=lambda i=i: got.update({i: killable.call("double", i)})) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {i: 2 * i for i in range(8)}


def test_ctrl_c_does_not_reach_the_process_and_its_end_is_ours(tmp_path: Path) -> None:
    (tmp_path / "strange_functions.py").write_text(MODULE)
    code = (
        "from esprobe.tasks.killable import Killable\n"
        "k = Killable('strange_functions', 'json', 'x')\n"
        "print(k.call('process'), flush=True)\n"
        "input()\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    ours = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
    )
    assert ours.stdout is not None
    child = int(ours.stdout.readline())
    assert os.getpgid(child) != os.getpgid(ours.pid)
    os.kill(ours.pid, signal.SIGKILL)
    ours.wait()
    while Path(f"/proc/{child}").exists() and " Z " not in Path(f"/proc/{child}/stat").read_text():
        time.sleep(0.01)


def test_what_is_not_installed_or_cannot_be_loaded_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no-such-package is not installed; install it by: pip install 'esprobe\[math\]'"):
        Killable("x", "no_such_package", "math").call("f")
    (tmp_path / "broken_functions.py").write_text("raise ImportError('libx.so is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"json cannot be loaded \(libx.so is missing\)"):
        Killable("broken_functions", "json", "x").call("f")


# ---- what stands in for eval and sympy's parser


@pytest.mark.parametrize("text", ["[1, 2]", "(1, -2.5)", "{'a': [True, None]}", "(0x10 + 3) * 2 << 1", " 7 "])
def test_literals_and_operators_are_evaluated(text: str) -> None:
    assert guarded.evaluate(text) == eval(text.strip())


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "().__class__",
        "[x for x in [1]]",
        "lambda: 1",
        "9**9**9",
        "print(1)",
        "f'{1}'",
        "x",
        "1 if 1 else 2",
        "",
    ],
)
def test_programs_are_not(text: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        guarded.evaluate(text)


def test_only_formulas_reach_the_parser() -> None:
    parse = guarded.formulas_only(lambda text, **_: text)
    for text in ("x**2 + 3*x - 1", "sin(x)/2 + C", "-2.5*exp(3*x)", "(x + 1)**(-2)", "24", "sqrt(2)", "x^2", "5!"):
        assert parse(text, local_dict={}) == text
    for text in (
        *("__import__('os')", "x.__class__", "x. real", "open(x)", "eval(x)", "lambda x: x", "'a'", "x;y", "[x]", "x=1", "__"),
        *("9**9**9", "9^9^9", "9**(9**9)", "x**99999", "5!!", "99999!", "x" * 5000, "{x}", "x@y", "x\\y", "exit()"),
    ):
        with pytest.raises(ValueError, match="not a formula"):
            parse(text)
