"""Lays out texts for a width: tables whose texts fold and whose numbers stay whole, blocks of one record where no row fits.

Knows cells that are safe to print, and how wide a terminal shows them. Knows no values, formats or database.
"""

import re
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache

GAP = "  "
PIPE = 200  # columns that texts are folded to where no terminal sets a width; numbers may run over
NARROWEST = 20  # columns; a text folded to fewer is hard to read

# What is never broken: a number with its sign, separators, exponent and unit, a date, an escaped character.
_ATOM = re.compile(r"\\(?:x..|u.{4}|U.{8}|.)|[+\-−×≥<~#]?\d[\d.,:/_eE+\-−TZ%]*|.", re.DOTALL)

Cells = Sequence[Sequence[str]]


def terminal_width() -> int | None:
    """Columns of the terminal that standard output is; None where it is none, as in a pipe or a file."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns  # COLUMNS, or what the terminal says, or 80


@cache
def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def width_of(text: str) -> int:
    """How many columns a terminal needs for the text: Chinese, Japanese and Korean characters are two wide, marks none."""
    return len(text) if text.isascii() else sum(map(_character_width, text))


def right_to_left(text: str) -> bool:
    """Whether a terminal may reorder what else is in the line, numbers above all."""
    return not text.isascii() and any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text)


def fold(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken between words or, in a longer word, between characters.

    A number is never broken: one that is wider than the line has a line that runs over.
    """
    lines: list[str] = []
    line, used = "", 0
    for word in re.findall(r"\s+|\S+", text):
        size = width_of(word)
        if used + size <= width:
            line, used = line + word, used + size
            continue
        if word.isspace():
            lines, line, used = [*lines, line.rstrip()], "", 0
            continue
        if line.strip() and size <= width:
            lines, line, used = [*lines, line.rstrip()], word, size
            continue
        for atom in _ATOM.findall(word):
            size = width_of(atom)
            if used + size > width and line.strip():
                lines, line, used = [*lines, line.rstrip()], "", 0
            line, used = line + atom, used + size
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def paragraph(text: str, width: int | None, indent: str = "") -> str:
    """Lines for people, each folded to the width, what follows a break indented; as they are where there is no width."""
    if width is None:
        return text
    inner = max(1, width - width_of(indent))
    return "\n".join(f"\n{indent}".join(fold(line, inner)) for line in text.split("\n"))


def table(names: Sequence[str], cells: Cells, numeric: Sequence[bool], width: int | None, under: Sequence[int] = ()) -> str:
    """The rows below their names. Where they do not fit, texts fold; where that is not enough, every row becomes a block.

    A cell may have several lines. `under`: columns that move below their row where it does not fit, before anything is folded.
    """
    if width is None:
        return "\n".join(_grid(names, cells, numeric, _shrunk(names, cells, numeric, PIPE) or _least(names, cells, numeric)))
    alone = len(names) == 1
    mixed = not alone and any(right_to_left(cell) for row in cells for cell in row)
    if under and not fits(names, cells, width):
        return _with_lines_below(names, cells, numeric, width, under)
    widths = None if mixed else _shrunk(names, cells, numeric, width)
    if widths is None and alone:
        widths = [max(1, width - 1)]  # where even its numbers are wider than the terminal
    return "\n".join(_grid(names, cells, numeric, widths)) if widths else blocks(names, cells, width)


def fits(names: Sequence[str], cells: Cells, width: int | None) -> bool:
    """Whether the table fits without folding anything."""
    return width is None or _total(_natural(names, cells)) <= width


def blocks(names: Sequence[str], cells: Cells, width: int) -> str:
    """One block for each row: a line for each column, its name and its cell; empty cells are left out."""
    if not cells:
        return "\n".join(fold(", ".join(names), width))
    beside = max(map(width_of, names))
    beside = beside if beside <= width // 2 else 0
    made = []
    for number, row in enumerate(cells, 1):
        lines = [f"── {number} ".ljust(min(width, 40), "─")]
        for name, cell in zip(names, row, strict=True):
            if cell:
                lines += _entry(name, cell, beside, width)
        made.append("\n".join(lines))
    return "\n".join(made)


def _entry(name: str, cell: str, beside: int, width: int) -> list[str]:
    """`name  cell`, the cell folded next to its name, or below it where the line is too short for both."""
    room = width - beside - 3
    if beside and room >= max(map(width_of, _ATOM.findall(cell))) and (room >= NARROWEST or width_of(cell) <= room):
        folded = [part for line in cell.split("\n") for part in fold(line, room)]
        return [f" {_padded(name if i == 0 else '', beside)}{GAP}{part}" for i, part in enumerate(folded)]
    folded = [part for line in cell.split("\n") for part in fold(line, max(1, width - 3))]
    return [f" {part}" for part in fold(name, max(1, width - 1))] + [f"   {part}" for part in folded]


def _with_lines_below(names: Sequence[str], cells: Cells, numeric: Sequence[bool], width: int, under: Sequence[int]) -> str:
    kept = [i for i in range(len(names)) if i not in under]
    inner = [[row[i] for i in kept] for row in cells]
    widths = _shrunk([names[i] for i in kept], inner, [numeric[i] for i in kept], width)
    if widths is None:
        return blocks(names, cells, width)
    lines = _grid([names[i] for i in kept], [], [numeric[i] for i in kept], widths)
    for row, above in zip(cells, inner, strict=True):
        lines += _row(above, [numeric[i] for i in kept], widths)
        for i in under:
            if row[i]:
                lines += _entry(f"  {names[i]}:", row[i], width_of(names[i]) + 3, width)
    return "\n".join(lines)


def _natural(names: Sequence[str], cells: Cells) -> list[int]:
    rows = [names, *cells]
    return [max(width_of(line) for row in rows for line in row[i].split("\n")) for i in range(len(names))]


def _total(widths: Sequence[int]) -> int:
    return 1 + sum(widths) + len(GAP) * (len(widths) - 1)


def _shrunk(names: Sequence[str], cells: Cells, numeric: Sequence[bool], width: int) -> list[int] | None:
    """The width of each column so that the table fits, the widest texts shortened first; None where it cannot fit."""
    widths, least = _natural(names, cells), _least(names, cells, numeric)
    if _total(least) > width:
        return None
    spare = width - _total(least)
    grown = list(least)
    while spare > 0 and grown != widths:  # what is left goes to the narrowest that want more
        i = min((i for i in range(len(grown)) if grown[i] < widths[i]), key=grown.__getitem__)
        grown[i], spare = grown[i] + 1, spare - 1
    return grown


def _least(names: Sequence[str], cells: Cells, numeric: Sequence[bool]) -> list[int]:
    """The narrowest that each column may become: a number's whole width, a text's widest unbreakable part."""
    least = []
    for i, (name, natural) in enumerate(zip(names, _natural(names, cells), strict=True)):
        heading = max((width_of(word) for word in name.split()), default=0)
        if heading > NARROWEST:
            heading = max(map(width_of, _ATOM.findall(name)))
        parts = (part for row in cells for part in ([row[i]] if numeric[i] else _ATOM.findall(row[i])))
        widest = max((width_of(line) for part in parts for line in part.split("\n")), default=0)
        least.append(max(1, heading, widest, 0 if numeric[i] else min(natural, NARROWEST)))
    return least


def _grid(names: Sequence[str], cells: Cells, numeric: Sequence[bool], widths: Sequence[int]) -> list[str]:
    head = _row(names, numeric, widths)
    return [*head, " " + "─" * (_total(widths) - 1), *(line for row in cells for line in _row(row, numeric, widths))]


def _row(row: Sequence[str], numeric: Sequence[bool], widths: Sequence[int]) -> list[str]:
    folded = [[part for line in cell.split("\n") for part in fold(line, w)] for cell, w in zip(row, widths, strict=True)]
    lines = []
    for i in range(max(map(len, folded))):
        parts = [column[i] if i < len(column) else "" for column in folded]
        padded = [_padded(part, w, right) for part, w, right in zip(parts, widths, numeric, strict=True)]
        lines.append((" " + GAP.join(padded)).rstrip())
    return lines


def _padded(text: str, width: int, right: bool = False) -> str:
    space = " " * (width - width_of(text))
    return space + text if right else text + space
