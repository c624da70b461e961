"""The command line: help, errors of one clear line with the right exit status, formats, and no heavy imports on light paths."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.helpers.errors import one_line_error

COMMANDS = ["sample-temp", "sample-perturb", "score", "report", "import", "merge", "runs", "sql"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_shows_an_example(esprobe: Run, command: str) -> None:
    shown = esprobe(command, "--help")
    assert shown.returncode == 0
    assert f"Example: esprobe {command}" in shown.stdout
    assert command in esprobe("--help").stdout


def test_no_words_show_the_help_and_version_is_the_packages(esprobe: Run) -> None:
    from esprobe import __version__

    assert "Usage: esprobe" in esprobe().stdout
    assert esprobe("--version").stdout == f"esprobe {__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["report"], ["runs"], ["sql", "select 1"]], ids=str)
def test_light_commands_load_nothing_heavy(words: list[str], swept: Path) -> None:
    code = (
        "import sys; from esprobe.cli.main import main; status = main(sys.argv[1:]); "
        "heavy = {'torch', 'transformers', 'vllm', 'matplotlib', 'numpy', 'sqlalchemy', 'alembic'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", code, "--db", str(swept), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["report", "--colour"], "No such option: --colour"),
        (["sample-temp", "-T", "hot"], "'--temperature'"),
        (["sample-temp", "-n", "0"], "'--samples'"),
        (["sample-perturb", "--noise", "pink"], "'--noise'"),
        (["sample-temp", "--backend", "magic"], "'--backend'"),
        (["sql"], "Missing argument"),
        (["report", "--format", "pdf"], "'--format'"),
        (["report", "--method", "magic"], "there is no method 'magic'"),
        (["sample-temp", "-n", 10**12], "'--samples'"),
        (["sample-perturb", "-n", 10**30], "'--perturbations'"),
        (["sample-temp", "--batch-size", 10**30], "'--batch-size'"),
    ],
    ids=lambda v: " ".join(map(str, v)) if isinstance(v, list) else "",
)
def test_wrong_usage_is_one_line_and_status_2(esprobe: Run, words: list[str], says: str) -> None:
    assert says in one_line_error(esprobe(*words), 2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sample-temp", "--data", "missing.json"], "public repository"),
        (["sample-temp", "--data", "broken.json"], "broken.json: not valid JSON"),
        (
            ["sample-temp", "--offset", "500"],
            "is beyond the 128 problems of the bundled set; lower it",
        ),
        (["sample-temp", "-T", "0"], "above 0"),
        (["sample-perturb", "--sigma", "-1"], "above 0"),
        (["sample-temp", "--model", "./missing"], "no such folder"),
        (["sample-temp", "--model", "nobody/nothing"], "nobody/nothing"),
        (["sample-temp", "--preset", "unknown"], "use one of countdown-tiny-es, es-at-scale, paper"),
        (["sample-temp", "--preset", "paper"], "countdown.json"),
        (["--db", "missing/r.db", "sample-temp"], "error: missing/r.db: the folder missing does not exist"),
        (["--db", "broken.json", "sample-temp"], "cannot be read as a database"),
        (["report"], "no results yet"),
        (["score"], "no results yet"),
        (["import", "missing.jsonl"], "missing.jsonl: no such file"),
        (["import", "broken.json"], "not valid JSON"),
        (["merge", "missing.db"], "no results database"),
        (["merge", "broken.json"], "cannot be read as a database"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_what_cannot_be_done_is_one_line_and_status_1(esprobe: Run, tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "broken.json").write_text('[{"numbers": [1')
    assert says in one_line_error(esprobe(*words), 1)
    assert not (tmp_path / "esprobe.db").exists() or words[0] != "report"


def test_errors_of_a_results_database_are_one_line(esprobe: Run, swept: Path) -> None:
    for words, says in [
        (["report", "--model", "nobody"], "no arm passes"),
        (["report", "--scorer", "nobody"], "no rollouts scored by 'nobody' yet; there are verdicts of countdown;"),
        (["report", "--task", "gsm"], "there are no rollouts of the task 'gsm' here; --task shows countdown"),
        (["report", "--budget"], "no trained model here, so there is no budget to compare at; `esprobe --db"),
        (["sql", "SELECT 1 FROM arms"], "no such table: arms; `SELECT name, sql FROM sqlite_master` lists"),
        (["export-model", "m", "--out", "m"], "which is NAME@ITERATION; `esprobe --db"),
        (["score", "--scorer", "nobody"], "there is no scorer 'nobody'"),
        (["sql", "select no_such_thing"], "no such column"),
        (["sql", "drop table score"], "only queries are allowed"),
    ]:
        assert says in one_line_error(esprobe("--db", swept, *words), 1)


def test_an_unwritable_database_is_refused_before_any_work(esprobe: Run, swept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "readonly"
    folder.mkdir()
    (folder / "r.db").write_bytes(swept.read_bytes())
    before = (folder / "r.db").read_bytes()
    os.chmod(folder / "r.db", 0o444)
    os.chmod(folder, 0o555)
    try:
        if os.access(folder, os.W_OK):  # root may write anywhere; /proc it may not
            refused = esprobe("--db", "/proc/r.db", "sample-temp", "--limit", "2", "-n", "1")
        else:
            refused = esprobe("--db", folder / "r.db", "sample-temp", "--limit", "2", "-n", "1")
        assert "cannot be written" in one_line_error(refused, 1)
    finally:
        os.chmod(folder, 0o755)
    assert (folder / "r.db").read_bytes() == before


def test_the_report_in_every_format(esprobe: Run, swept: Path) -> None:
    table = esprobe("--db", swept, "report").stdout
    assert "pass@6" in table
    assert "Above chance, in percentage points" in table
    markdown = esprobe("--db", swept, "report", "--format", "markdown").stdout
    assert markdown.startswith("**countdown-tiny: countdown, 12 problems, scored by countdown**")
    for one in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE):
        assert len({line.count("|") for line in one.splitlines()}) == 1
    records = json.loads(esprobe("--db", swept, "report", "--format", "json").stdout)
    arms = {(r["method"], r["value"]) for r in records}
    assert arms == {("greedy", None), ("temperature", 0.6), ("temperature", 1.2), ("perturbation", 0.01), ("perturbation", 0.02)}
    lines = esprobe("--db", swept, "report", "--format", "csv").stdout.splitlines()
    assert len(lines) == 1 + len(records) == 1 + 1 + 4 * 4  # k = 1, 2, 4, 6
    assert lines[0].split(",") == list(records[0])
    chosen = esprobe("--db", swept, "report", "-k", "3", "--method", "temperature", "--value", "0.6", "--format", "json")
    assert [(r["value"], r["k"]) for r in json.loads(chosen.stdout)] == [(0.6, 3)]


def test_arms_that_look_alike_are_told_apart_and_correlated_noise_is_named(esprobe: Run) -> None:
    args = ["sample-perturb", "--sigma", "0.01", "-n", "1", "--limit", "2", "--max-new-tokens", "2", "--no-greedy"]
    for more in ([], ["--seed", "7"], ["--noise", "shared-seed"]):
        assert esprobe(*args, *more).returncode == 0
    shown = esprobe("report", "--format", "markdown").stdout
    assert "noise=iid seed=42" in shown
    assert "noise=iid seed=7" in shown
    assert "noise=shared-seed seed=42" in shown
    assert "shared-seed noise is correlated" in shown


def test_quiet_prints_results_only(esprobe: Run) -> None:
    done = esprobe("--quiet", "sample-temp", "-T", "0.5", "-n", "1", "--limit", "2", "--max-new-tokens", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    loud = esprobe("sample-temp", "-T", "0.4", "-n", "1", "--limit", "2", "--max-new-tokens", "2")
    assert "temperature 0.4: 2 of 2 rollouts" in loud.stderr


def test_a_closed_pipe_is_no_error(swept: Path) -> None:
    command = f"{sys.executable} -m esprobe --db {swept} sql 'select * from rollout_text' --format json | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""
