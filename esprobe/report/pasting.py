"""Commands to paste, in the sentences that esprobe prints: where the user has named a database, they name it too.

Knows how a command is written in a sentence, `esprobe report`. Must not know what a command does.
"""

import re
import shlex
from pathlib import Path

database: Path | None = None  # as the user has named it; None where it is the default one


def to_paste(text: str) -> str:
    """The text with the database in each of its commands; one that names a database stays as it is."""
    return re.sub("`esprobe (?!--db )", lambda _: f"`{start()} ", text)


def start() -> str:
    """What a command to paste begins with."""
    return "esprobe" if database is None else f"esprobe --db {shlex.quote(str(database))}"
