"""The one error a user can cause, and how the errors of libraries are put into a line of it.

Raised where the cause is known, in the user's words, and caught once, at the top of the CLI.
"""

import re


class UserError(Exception):
    """Something the user can put right; the message is one line that says what to do."""


def one_line(error: BaseException) -> str:
    """The first line of an error's message, shortened; with the next one where the first only announces it.

    The error's type where it has no message.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if len(lines) > 1 and re.match(r"\d+ validation errors? for ", lines[0]):
        return shortened(lines[1])  # the first only counts them: pydantic's
    return shortened(" ".join(lines[: 2 if lines[0].endswith(":") else 1]))


def shortened(text: str, most: int = 200) -> str:
    """At most `most` characters of it: whole sentences where one ends in time, else whole words and an ellipsis."""
    if len(text) <= most:
        return text
    sentences = text[:most].rpartition(". ")[0]
    return f"{sentences}." if sentences else f"{text[: most - 1].rpartition(' ')[0] or text[: most - 2]} …"
