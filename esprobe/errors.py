"""The one error a user can cause.

Raised where the cause is known, in the user's words, and caught once, at the top of the CLI.
"""


class UserError(Exception):
    """Something the user can put right; the message is one line that says what to do."""
