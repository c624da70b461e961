"""Fonts for names that the default one cannot write: Chinese, Japanese, Korean and others, from what is installed.

Knows matplotlib's list of fonts. Must not know what is written.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from matplotlib.font_manager import fontManager, get_font

DEFAULT = "DejaVu Sans"  # comes with matplotlib
PREFERRED = (
    "Noto Sans",
    "Source Han Sans",
    "WenQuanYi",
    "Droid Sans Fallback",
    "PingFang",
    "Hiragino",
    "Microsoft YaHei",
    "Yu Go",
)


def families(text: str) -> tuple[list[str], str]:
    """(fonts, missing): the fonts that together have the characters of the text, and those that no installed font has."""
    chosen, missing = [DEFAULT], _lacking(DEFAULT, {c for c in text if not c.isspace()})
    for name in _others() if missing else ():
        left = _lacking(name, missing)
        if left < missing:
            chosen.append(name)
            missing = left
        if not missing:
            break
    return chosen, "".join(sorted(missing))


def _others() -> Iterator[str]:
    """The names of the installed fonts, the preferred ones first."""
    names = sorted({font.name for font in fontManager.ttflist if not font.name.startswith("Last Resort")} - {DEFAULT})
    yield from sorted(names, key=lambda name: not name.startswith(PREFERRED))  # stable


def _lacking(name: str, characters: set[str]) -> set[str]:
    """The characters that the font does not have."""
    return {c for c in characters if ord(c) not in _characters(name)}


@cache
def _characters(name: str) -> frozenset[int]:
    """The code points that a font has; none where its file cannot be read."""
    path = next(font.fname for font in fontManager.ttflist if font.name == name)
    try:
        return frozenset(get_font(Path(path)).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
