"""Shows rows as a table, Markdown, CSV or JSON. Knows columns and cells, not where they come from.

Cells may contain anything that a model or a stranger wrote; it must reach a terminal, a Markdown renderer or a spreadsheet as
text only.
"""

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from esprobe.report import encoding, layout

Format = Literal["table", "markdown", "csv", "json"]

Row = Sequence[Any]

# A number as tables show it, alone or with its interval.
_NUMBER = re.compile(r"[+\-−×≥]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?%?(?: \[[^\]]*\])?|\[[^\]]*\]")

# A part of a cell that a spreadsheet takes for a formula, up to where one that is set to other separators begins a new cell;
# quotation marks and white space before it do not help. Full-width signs are signs in Japanese Excel.
_FORMULA = re.compile(r"((?:^|[;|\t\r\n])[\s\"']*?)([=+\-@＝＋－＠][^;|\t\r\n]*)")
_PLAIN = re.compile(r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")  # a number, with its sign

# Printable for Python and yet invisible: variation selectors, fillers and joiners (Unicode's Default_Ignorable_Code_Point),
# and the empty Braille pattern.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U0001d159\U000e0000-\U000e0fff]"
)

LONGEST = 10_000  # characters of a cell in a table or in Markdown
WIDEST = 200  # characters that other cells of a Markdown column are padded to

# What would be markup inside a Markdown cell; an underscore within a word is none, nor is a bracket without its link.
_MARKUP = re.compile(r"[\\|`*~$]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])")


def render(columns: Sequence[str], rows: Sequence[Row], style: Format, under: Sequence[str] = ()) -> str:
    """The rows as text. Tables and Markdown show what is invisible as its code; CSV and JSON keep values.

    A table fits the terminal; where a row is too wide, the columns `under` move below it. In CSV a text that a spreadsheet would
    run as a formula has an apostrophe before it.
    """
    if style == "json":
        return _json(columns, rows)
    if style == "csv":
        return "\n".join(_csv_line([_no_formula(cell) for cell in row]) for row in [columns, *rows])
    cells = [[shown(cell) for cell in row] for row in rows]
    names = [shown(name) for name in columns]
    if style == "markdown":
        return _markdown(names, cells, [_is_numeric(rows, i) for i in range(len(columns))])
    numeric = [_is_numeric(rows, i) for i in range(len(columns))]
    return layout.table(names, cells, numeric, layout.terminal_width(), [i for i, name in enumerate(columns) if name in under])


def shown(cell: Any) -> str:
    """A cell as people read it: NULL is empty, control characters cannot reach the terminal, a huge text is cut."""
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        cell = cell[: LONGEST + 1]  # a gigabyte need not become text first
    text = f"{cell:.4g}" if isinstance(cell, float) else str(cell)
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… ({len(text) - LONGEST:,} characters more)"
    return visible(text)


def visible(text: str) -> str:
    """The text with its code in place of every character that cannot be seen, reorders the line or steers a terminal.

    What standard output cannot encode is replaced here already, so that tables are laid out as they will be printed.
    """
    if text.isascii() and text.isprintable():
        return text
    seen = "".join(c.encode("unicode_escape").decode() if not c.isprintable() or _UNSEEN.match(c) else c for c in text)
    return encoding.encodable(seen)


def shown_lines(text: str) -> str:
    """Lines for people, each as `shown` has it."""
    return "\n".join(shown(line) for line in text.split("\n"))


def no_markup(text: str) -> str:
    """Text that Markdown shows as it is: HTML and markup are escaped."""
    return _MARKUP.sub(r"\\\g<0>", text).replace("&", "&amp;").replace("<", "&lt;")


def _csv_line(row: Row) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(row)  # quotes a cell that contains either of the two
    return text.getvalue()[:-2]


def _json(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """A JSON array of objects, exact: an infinite number is 1e999, which is valid JSON and reads back as infinite."""
    records = []
    for row in rows:
        pairs = [f"    {_json_value(name)}: {_json_value(cell)}" for name, cell in zip(columns, row, strict=True)]
        records.append("  {\n" + ",\n".join(pairs) + "\n  }")
    return "[\n" + ",\n".join(records) + "\n]" if records else "[]"


def _json_value(cell: Any) -> str:
    if isinstance(cell, float) and not math.isfinite(cell):
        return "null" if math.isnan(cell) else "1e999" if cell > 0 else "-1e999"
    if not isinstance(cell, str) or cell.isprintable():
        return json.dumps(cell, ensure_ascii=False, default=repr)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in json.dumps(cell, ensure_ascii=False))


def _no_formula(cell: Any) -> Any:
    """The cell with an apostrophe before what a spreadsheet would run, also where it splits cells at `;`, `|`, tabs or lines."""
    if not isinstance(cell, str):
        return cell
    text = _FORMULA.sub(_quoted, cell)
    return f"'{text}" if text.startswith(("\t", "\r")) else text


def _quoted(found: re.Match[str]) -> str:
    before, formula = found.groups()
    return found[0] if _PLAIN.fullmatch(formula.strip()) else f"{before}'{formula}"


def _is_numeric(rows: Sequence[Row], column: int) -> bool:
    return all(isinstance(row[column], (int, float, type(None))) or _looks_numeric(row[column]) for row in rows)


def _looks_numeric(cell: Any) -> bool:
    return isinstance(cell, str) and (cell == "" or _NUMBER.fullmatch(cell) is not None)


def _markdown(columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    rows = [[no_markup(cell) for cell in row] for row in [columns, *cells]]
    widths = [min(WIDEST, max(3, *(len(row[i]) for row in rows))) for i in range(len(columns))]
    lines = [
        "| " + " | ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (w + 1) + (":" if n else "-") for w, n in zip(widths, numeric, strict=True)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
