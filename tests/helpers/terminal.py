"""What the installed command shows on a terminal, and the numbers in it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

from tests.conftest import ESPROBE


def on_terminal(columns: int, *words: object, cwd: Path | None = None, errors: bool = False) -> str:
    """What the installed command writes on a terminal of so many columns: its standard output, or with `errors` both outputs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if not k.startswith("ESPROBE_") and k != "COLUMNS"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [str(ESPROBE), *map(str, words)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs if errors else subprocess.PIPE,
        cwd=cwd,
        env=env,
    )
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 65536):
            written += part
    except OSError:  # how a terminal says that its other side is closed
        pass
    os.close(ours)
    _, said = process.communicate()
    assert process.returncode == 0, (said or written).decode()
    return written.decode().replace("\r\n", "\n")


def numbers(text: str) -> list[str]:
    """Every run of digits with its separators, but for those of an escaped character."""
    return re.findall(r"\d[\d.,]*", re.sub(r"\\(?:x..|u.{4}|U.{8}|.)", " ", text, flags=re.DOTALL))
