"""A report's table in the first shape that fits the terminal: fewer columns, intervals on separate lines, fewer k.

Knows cells as texts and the names of columns. What is left out is named below the table; numbers are never cut.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from esprobe.report import layout
from esprobe.report.pasting import to_paste
from esprobe.report.render import Format, no_markup, render, shown

TEXTS = ("arm", "settings")  # columns that are aligned left
BELOW = "settings"  # the column that moves below its row where it is too wide


@dataclass(frozen=True)
class Shape:
    """How a table fits a width: which k it has, which other columns it lacks, whether intervals are on separate lines."""

    ks: tuple[int, ...]
    without: tuple[str, ...] = ()
    stacked: bool = False

    def cell(self, text: str) -> str:
        """`32.0% [24.5, 40.5]` on one line or on two."""
        return text.replace(" [", "\n[") if self.stacked else text


Made = tuple[list[str], list[list[str]]]  # names of columns, rows of cells


@dataclass(frozen=True)
class Fitted:
    """A table as text, and the names of the columns that it shows."""

    text: str
    columns: Sequence[str]


def fitted(
    make: Callable[[Shape], Made],
    style: Format,
    width: int | None,
    ks: Sequence[int] = (),
    extras: Sequence[str] = (),
    may_hide: bool = False,
) -> str:
    """The text of `fit`."""
    return fit(make, style, width, ks, extras, may_hide).text


def fit(
    make: Callable[[Shape], Made],
    style: Format,
    width: int | None,
    ks: Sequence[int] = (),
    extras: Sequence[str] = (),
    may_hide: bool = False,
) -> Fitted:
    """The table that `make` makes, in the first shape that fits `width`; None is any width.

    `extras`: columns that are dropped, in this order; `may_hide`: k may be dropped too, from the second on. Where nothing fits,
    one block per row with everything.
    """
    whole = make(Shape(tuple(ks)))
    if style == "markdown":
        return Fitted(render(*whole, "markdown"), whole[0])
    if width is None:
        return Fitted(_laid_out(*whole, None), whole[0])
    for shape in _shapes(ks, extras, may_hide):
        names, cells = make(shape)
        kept = [i for i, name in enumerate(names) if name != BELOW]
        if layout.fits([names[i] for i in kept], [[row[i] for i in kept] for row in cells], width):
            return Fitted("\n".join([_laid_out(names, cells, width), *_hidden(whole[0], names, width)]), names)
    names, cells = whole
    blocks = layout.blocks([shown(name) for name in names], [[shown(cell) for cell in row] for row in cells], width)
    return Fitted(blocks, names)


def _shapes(ks: Sequence[int], extras: Sequence[str], may_hide: bool) -> Iterator[Shape]:
    kept = list(ks)
    while True:
        for stacked in (False, True):
            for dropped in range(len(extras) + 1):
                yield Shape(tuple(kept), tuple(extras[:dropped]), stacked)
        if not may_hide or len(kept) <= 2:
            return
        del kept[1]  # the smallest and the largest say most


def _hidden(all_names: Sequence[str], names: Sequence[str], width: int) -> list[str]:
    hidden = [name for name in all_names if name not in names]
    if not hidden:
        return []
    said = f"(hidden: {', '.join(hidden)}; a wider terminal or --format markdown shows all)"
    return ["", layout.paragraph(said, width)]


def _laid_out(names: Sequence[str], cells: Sequence[Sequence[str]], width: int | None) -> str:
    safe = [["\n".join(shown(line) for line in cell.split("\n")) for cell in row] for row in cells]
    numeric = [name not in TEXTS for name in names]
    below = [i for i, name in enumerate(names) if name == BELOW]
    return layout.table([shown(name) for name in names], safe, numeric, width, below)


def heading(text: str, style: Format, width: int | None, title: bool = False) -> str:
    """A line above a table; a title is bold in Markdown."""
    safe = shown(to_paste(text))
    if style != "markdown":
        return layout.paragraph(safe, width)
    return f"**{no_markup(safe)}**" if title else no_markup(safe)
