"""The line that a user sees of an error."""

import subprocess


def one_line_error(done: subprocess.CompletedProcess[str], status: int) -> str:
    """The only line on standard error, which begins with `error: `, of a command that ended with this status."""
    assert done.returncode == status, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
