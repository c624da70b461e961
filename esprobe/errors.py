"""The one error a user can cause, and how the errors of libraries are put into a line of it.

Raised where the cause is known, in the user's words, and caught once, at the top of the CLI.
"""


class UserError(Exception):
    """Something the user can put right; the message is one line that says what to do."""


def one_line(error: BaseException) -> str:
    """The first line of what an error says, 200 characters at most, the next one with it where it only announces that one.

    The error's kind where it says nothing.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])[:200]
