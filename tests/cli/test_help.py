"""Help, wrong usage and completion: pages that fit a terminal, in esprobe's own words, and a shell that completes them."""

import re
from typing import Any

import pytest
import typer.main

from esprobe.cli.main import app
from tests.conftest import Run
from tests.helpers.errors import one_line_error
from tests.helpers.terminal import on_terminal

GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = GROUP.commands
LIBRARY_WORDS = r"<\w+>|(?<!=)VALUE|default: ?\w+\]|env var|x>=|<=x|Input should|Value error|unable to|valid \w+"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_page_fits_80_columns_in_our_words(command: str) -> None:
    page = on_terminal(80, *command.split(), "-h")
    lines = re.sub(r"\x1b\[\d+m", "", page).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if re.fullmatch(r"[A-Z][a-z ]+", line)][-1] == "Options"
    assert "*" not in [line.strip() for line in lines]  # the star is with the words that it belongs to
    assert not re.search(LIBRARY_WORDS, page)
    assert lines[0].startswith(f"Usage: esprobe {command}".rstrip())
    assert any(line.startswith("Example: esprobe ") for line in lines)


def test_every_command_and_option_is_explained_in_its_place(esprobe: Run) -> None:
    listed = re.findall(r"^  ([a-z-]+) {2,}\S", esprobe("-h").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
    for name, command in COMMANDS.items():
        for option in command.params:
            assert option.help, (name, option.name)


@pytest.mark.parametrize("command", ["sample-temp", "sample-perturb", "train"])
def test_every_value_of_a_sweep_says_its_default(command: str) -> None:
    without = {"--task-option", "--trained-from", "--rollouts-spent", "--preset", "--evaluate-every"}  # off unless they are given
    for option in COMMANDS[command].params:
        if not (option.is_flag or without.intersection(option.opts) or (command == "train" and "-T" in option.opts)):
            assert option.default not in (None, "") or re.search(r"default: |\[[\d., ]+\]", option.help), option.opts


def test_every_variable_is_named_after_its_option() -> None:
    for command in (GROUP, *COMMANDS.values()):
        for option in command.params:
            longest = max(option.opts, key=len)
            assert option.envvar in (None, "ESPROBE_" + longest.strip("-").replace("-", "_").upper())


@pytest.mark.parametrize("columns", [30, 60, 200])
def test_a_page_fits_terminals_of_other_widths(columns: int) -> None:
    page = re.sub(r"\x1b\[\d+m", "", on_terminal(columns, "runs", "-h"))
    assert max(map(len, page.splitlines())) <= max(columns, 60)


@pytest.mark.parametrize(
    ("words", "variables", "says"),
    [
        (["sample-temp", "-T", "0.4,hot"], {}, "'--temperature': 'hot' is not a number"),
        (["sample-temp", "-n", "0"], {}, "'--samples' must be at least 1, not 0"),
        (["sample-temp", "-n", "1.5"], {}, "'--samples': '1.5' is not a whole number"),
        (["sample-temp"], {"ESPROBE_SAMPLES": "many"}, "ESPROBE_SAMPLES: 'many' is not a whole number"),
        (["runs"], {"ESPROBE_QUIET": "perhaps"}, "ESPROBE_QUIET: 'perhaps' is neither 1 nor 0"),
        (["report", "--margin", "200"], {}, "'--margin' must be at most 100, not 200"),
        (["report", "--format", "pdf"], {}, "'--format': 'pdf' is not one of 'table', 'markdown', 'csv', 'json'"),
        (["sql"], {}, "Missing argument 'QUERY'"),
        (["sample-temp", "twice"], {}, "the command takes no further word: twice (see: esprobe sample-temp --help)"),
        (["sample-temp", "-n"], {}, "'-n' needs a value after it"),
        (["report", "--comprae"], {}, "No such option: --comprae. Did you mean --compare"),
        (["report", "--compare", "--budget"], {}, "error: --compare, --select and --budget are different reports"),
        (["reprot"], {}, "Did you mean 'report'?"),
    ],
    ids=lambda value: " ".join(value),
)
def test_wrong_usage_is_told_in_our_words(esprobe: Run, words: list[str], variables: dict[str, str], says: str) -> None:
    line = one_line_error(esprobe(*words, env=variables), 2)
    assert says in line
    assert not re.search(LIBRARY_WORDS, line)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("esprobe sample-t", ["sample-temp"]),
        ("esprobe report --form", ["--format"]),
        ("esprobe --db x.db runs --format ", ["table", "markdown", "csv", "json"]),
        ("esprobe runs --db x.db --form", ["--format"]),
    ],
)
def test_a_shell_completes_commands_options_and_choices(esprobe: Run, typed: str, completed: list[str]) -> None:
    words = {"_ESPROBE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
    assert esprobe(env=words).stdout.split() == completed
    assert "_ESPROBE_COMPLETE=complete_bash" in esprobe(env={"_ESPROBE_COMPLETE": "source_bash"}).stdout
