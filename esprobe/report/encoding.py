"""Standard output in an encoding that lacks characters: ours become ASCII, all others their code, and none is an error.

Knows encodings, not what is printed. What programs read keeps its values, or is refused.
"""

import codecs
import json
import sys

from esprobe.errors import UserError

_IN_ASCII = {
    "─": "-", "−": "-", "–": "-", "│": "|", "×": "x", "·": "*", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "≠": "!=", "±": "+-",
    "σ": "sigma", "τ": "tau", "Σ": "sum", "²": "^2", "√": "sqrt",
}  # fmt: skip


def show_anything() -> None:
    """Makes `sys.stdout` print a substitute for what its encoding lacks; for the start of a program."""
    # the second is Python's choice for the C locale; a user's choice by PYTHONIOENCODING stays
    if getattr(sys.stdout, "errors", None) in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="esprobe")  # type: ignore[union-attr]


def encodable(text: str, encoding: str = "") -> str:
    """The text with substitutes for what the encoding lacks; without one, standard output's."""
    encoding = encoding.lower() or _encoding()
    return text if encoding == "utf-8" else text.encode(encoding, "esprobe").decode(encoding)


def for_programs(text: str, style: str) -> str:
    """CSV or JSON with every value as it is. Raises UserError for CSV that standard output cannot encode; JSON has escapes."""
    encoding = _encoding()
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        if style == "json":
            return "".join(character if character.isascii() else _code(character) for character in text)
        lacking = text[error.start]
        raise UserError(
            f"standard output's encoding ({encoding}) has no {_code(lacking)}, and CSV has no escapes; set PYTHONIOENCODING=utf-8"
        ) from None
    return text


def _encoding() -> str:
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower()


def _code(character: str) -> str:
    """As JSON escapes it: two codes for what lies beyond the first 65,536 characters."""
    return json.dumps(character)[1:-1]


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """What `codecs.register_error` wants: the replacement, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_IN_ASCII.get(c) or _code(c) for c in error.object[error.start : error.end]), error.end


codecs.register_error("esprobe", _replaced)
