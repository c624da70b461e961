"""Where plots go: into a folder, as PNG, SVG and PDF, all of them or those that are asked for by name.

Knows files and figures, not what is drawn.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from esprobe.errors import UserError
from esprobe.report.files import write_whole
from esprobe.report.plots.fonts import families
from esprobe.report.plots.style import applied

Drawing = Callable[[], Figure | str]  # a figure, or in a few words why there is none

# without dates, so that the same data give the same file
_KINDS: dict[str, dict[str, Any]] = {
    "png": {"dpi": 150},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}


def wanted(known: Sequence[str], names: Sequence[str]) -> list[str]:
    """The plots to draw, in the order of `known`: those named, or all. Raises UserError for a name that is not known."""
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            there = f"did you mean {close[0]}?" if close else f"its plots: {', '.join(known)}"
            raise UserError(f"this report has no plot {name!r}; {there}")
    return [name for name in known if not names or name in names]


@contextmanager
def drawing_into(folder: Path, text: str = "") -> Iterator[list[str]]:
    """Creates the folder, and draws in our style inside; yields the lines to say, to which files are added.

    `text`: names of models and arms, for which fonts are found. Raises UserError where the folder cannot be written.
    """
    lines: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with applied(text):
            yield lines
    except OSError as error:
        raise UserError(f"{folder}: plots cannot be written there ({error.strerror or error}); name another folder") from None
    missing = families(text)[1] if text else ""
    if missing and any(not line.startswith("skipped") for line in lines):
        lines.append(f"no installed font has {missing}: PNG and PDF show boxes, SVG the characters; fonts-noto-cjk has most")


def save_each(drawings: Collection[tuple[str, Drawing]], folder: Path) -> list[str]:
    """Draws and writes plots by their file names; returns a line for each file, and for each plot that is skipped."""
    lines: list[str] = []
    for name, draw in drawings:
        made = draw()
        lines += [f"skipped {name}: {made}"] if isinstance(made, str) else map(str, save(made, folder / name))
    return lines


def save(made: Figure, path: Path) -> list[Path]:
    """Writes the figure in each format."""
    paths = []
    for kind, how in _KINDS.items():
        content = BytesIO()
        made.savefig(content, format=kind, **how)
        made.set_layout_engine("none")  # the other formats have the layout of the first, which takes as long as drawing
        paths.append(path.with_name(f"{path.name}.{kind}"))
        write_whole(paths[-1], content.getvalue(), follow=False)
    return paths
