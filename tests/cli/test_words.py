"""How a command is spelled, and what a terminal or a locale that lacks something makes of its output."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ESPROBE, HANGS_S, Run
from tests.helpers.errors import one_line_error

ASCII = {"PYTHONIOENCODING": "ascii"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
TEXT = "σ ≥ 0 “quoted” 𝄞"


@pytest.mark.parametrize("words", [[], ["report"], ["sample-temp"], ["sql"]], ids=str)
def test_both_spellings_show_the_same_help(esprobe: Run, words: list[str]) -> None:
    short, long = esprobe(*words, "-h"), esprobe(*words, "--help")
    assert (short.returncode, short.stdout) == (0, long.stdout)


def test_global_options_may_stand_after_the_command(esprobe: Run, swept: Path) -> None:
    before = esprobe("--db", swept, "report")
    assert esprobe("report", "--db", swept).stdout == before.stdout
    assert esprobe("report", f"--db={swept}", "--quiet").stdout == before.stdout
    assert esprobe("report", "--version").stdout == esprobe("--version").stdout


def test_a_repeatable_option_takes_several_values_at_once(esprobe: Run, swept: Path) -> None:
    asked = esprobe("--db", swept, "report", "-k", "1", "-k", "3", "--method", "temperature", "--value", "0.6", "--value", "1.2")
    assert asked.returncode == 0
    assert esprobe("--db", swept, "report", "-k", "1,3", "--method=temperature", "--value=0.6,1.2").stdout == asked.stdout
    assert esprobe("--db", swept, "report", "-k1,3", "--method", "temperature", "--value", "0.6,1.2").stdout == asked.stdout
    for words in (["-T", "0.4,hot"], ["-T", "0.4,"], ["-T"], ["-T,"]):
        assert "'--temperature'" in one_line_error(esprobe("sample-temp", *words), 2)


@pytest.mark.parametrize("lacking", [ASCII, C_LOCALE], ids=["encoding", "locale"])
@pytest.mark.parametrize("words", [["report"], ["report", "--format", "markdown"], ["runs"], ["sample-perturb", "-h"]], ids=str)
def test_an_encoding_that_lacks_characters_gets_other_words(
    esprobe: Run, swept: Path, words: list[str], lacking: dict[str, str]
) -> None:
    shown = esprobe("--db", swept, *words, env=lacking)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.isascii()
    if words == ["report"]:
        assert "sigma 0.01" in shown.stdout
        assert "-----" in shown.stdout
        rows = shown.stdout.split("\n\n")[1].splitlines()
        assert {len(row) for row in rows if row.startswith((" T ", " sigma "))} == {len(rows[0])}  # laid out as it is printed


def test_columns_of_one_name_get_names_of_their_own(esprobe: Run, swept: Path) -> None:
    for names, given in (
        ("id, id", ["id", "id_2"]),
        ("id, id, id_2", ["id", "id_3", "id_2"]),
        ("a, a, a_2, a", ["a", "a_3", "a_2", "a_4"]),
    ):
        columns = ", ".join(f"{i} as {name}" for i, name in enumerate(names.split(", ")))
        shown = esprobe("--db", swept, "sql", f"select {columns}", "--format", "json")
        assert json.loads(shown.stdout) == [{name: i for i, name in enumerate(given)}]


def test_what_programs_read_keeps_its_values_in_any_encoding_or_is_refused(esprobe: Run, swept: Path) -> None:
    def ask(style: str, text: str) -> "subprocess.CompletedProcess[str]":
        return esprobe("--db", swept, "sql", f"select '{text}' as a", "--format", style, env=ASCII)

    assert json.loads(ask("json", TEXT).stdout) == [{"a": TEXT}]
    assert "PYTHONIOENCODING=utf-8" in one_line_error(ask("csv", TEXT), 1)
    assert ask("csv", "plain").stdout == "a\nplain\n"
    assert "sigma >= 0" in ask("table", TEXT).stdout


@pytest.mark.parametrize("size", ["0", "-5", "x", "²", "9" * 30, "1"])
def test_a_terminal_size_that_is_none_changes_nothing(esprobe: Run, swept: Path, size: str) -> None:
    for words in (["report", "-h"], ["report"], ["runs"]):
        shown = esprobe("--db", swept, *words, env={"COLUMNS": size, "LINES": size})
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout


@pytest.mark.parametrize("words", ["-h", "sample-perturb -h", "report", "runs"])
def test_a_reader_who_has_seen_enough_is_no_error(swept: Path, words: str) -> None:
    command = f'"{ESPROBE}" --db "{swept}" {words} | head -c 1; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=HANGS_S)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_name_that_is_not_utf_8_is_a_file_name(esprobe: Run, tmp_path: Path) -> None:
    rollouts = os.fsdecode(b"\xfe.jsonl")
    (tmp_path / rollouts).write_text('{"numbers": [1, 2], "target": 3, "draw": 0, "text": "<answer>1+2</answer>"}\n')
    database = os.fsdecode(b"\xff.db")
    assert esprobe("--db", database, "import", rollouts).stdout.startswith("1 of 1")
    assert (tmp_path / database).exists()
    for words in (
        ["report"],
        ["runs"],
        ["report", "--plots", os.fsdecode(b"\xfd")],
        ["explore", "--out", os.fsdecode(b"\xfc.html")],
    ):
        shown = esprobe("--db", database, *words)
        assert (shown.returncode, shown.stderr) == (0, "")


def test_a_current_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    words = f'rmdir "{gone}"; "{ESPROBE}" --db "{tmp_path}/r.db" sample-temp -n 1 --limit 1'
    done = subprocess.run(["bash", "-c", words], cwd=gone, capture_output=True, text=True, timeout=HANGS_S)
    assert "the current folder cannot be used" in one_line_error(done, 1)


def test_words_that_are_not_utf_8_are_one_line(esprobe: Run, swept: Path) -> None:
    odd = os.fsdecode(b"\xfe")
    for words in (["sql", f"select '{odd}'"], ["report", "--scorer", odd], ["explore", "--scorer", odd]):
        assert "UTF-8" in one_line_error(esprobe("--db", swept, *words), 1)


def test_links_that_lead_to_themselves_are_one_line(esprobe: Run, swept: Path, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    sweep = ["sample-temp", "-T", "1", "-n", "1", "--limit", "1"]
    for words in (
        ["--db", "a", "report"],
        ["--db", "a", *sweep],
        ["--db", swept, "explore", "--out", "a"],
        ["--db", swept, "report", "--plots", "a"],
        ["import", "a"],
        ["merge", "a"],
        [*sweep, "--data", "a"],
        [*sweep, "--model", "./a"],
        [*sweep, "--preset", "./a"],
    ):
        line = one_line_error(esprobe(*words), 1)
        assert "unexpected" not in line
        assert "a" in line
