"""Shows rows as a table, Markdown, CSV or JSON. Knows columns and cells, not where they come from."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from typing import Any, Literal, get_args

Format = Literal["table", "markdown", "csv", "json"]
FORMATS: tuple[str, ...] = get_args(Format)

Row = Sequence[Any]


def render(columns: Sequence[str], rows: Sequence[Row], style: Format) -> str:
    """The rows as text. Tables and Markdown show cells on one line and control characters escaped; CSV and JSON keep values."""
    if style == "json":
        return json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2, ensure_ascii=False, default=repr)
    if style == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        return text.getvalue().rstrip("\n")
    cells = [[shown(cell) for cell in row] for row in rows]
    if style == "markdown":
        return _markdown(columns, cells, [_is_numeric(rows, i) for i in range(len(columns))])
    return _table(columns, cells, [_is_numeric(rows, i) for i in range(len(columns))])


def shown(cell: Any) -> str:
    """A cell as people read it: NULL is empty, control characters cannot reach the terminal."""
    if cell is None:
        return ""
    text = f"{cell:.4g}" if isinstance(cell, float) else str(cell)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _is_numeric(rows: Sequence[Row], column: int) -> bool:
    return all(isinstance(row[column], (int, float, type(None))) or _looks_numeric(row[column]) for row in rows)


def _looks_numeric(cell: Any) -> bool:
    return isinstance(cell, str) and (cell == "" or cell.lstrip("+−×≥")[:1].isdigit())


def _markdown(columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    rows = [[cell.replace("|", "\\|") for cell in row] for row in [columns, *cells]]
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(columns))]
    lines = [
        "| " + " | ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (w + 1) + (":" if n else "-") for w, n in zip(widths, numeric, strict=True)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _table(columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, right in zip(columns, numeric, strict=True):
        # numbers never wrap: a wide table runs over rather than break one in two
        table.add_column(Text(name), justify="right" if right else "left", no_wrap=right, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    text = io.StringIO()
    console = Console(file=text, force_terminal=False, width=None if sys.stdout.isatty() else 200)
    console.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().split("\n")).strip("\n")  # the box has empty edges
