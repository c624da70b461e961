"""How every plot looks: colours that colour-blind people and grey printers tell apart, axes in percent, titles, legends.

Knows matplotlib, not what is plotted.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib import colormaps, rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from esprobe.errors import UserError
from esprobe.methods import GREEDY, IMPORTED, PERTURBATION, TEMPERATURE
from esprobe.report.files import write_whole

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 3.2,  # long enough to show dashes
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar sign in a name begins no formula
    "svg.hashsalt": "esprobe",  # the same data give the same file
}
# Okabe and Ito's colours
METHOD: dict[str, str] = {
    TEMPERATURE.name: "#0072B2",
    PERTURBATION.name: "#D55E00",
    IMPORTED.name: "#CC79A7",
    GREEDY.name: "#000000",
}
BOTH = "#009E73"
GREY = "#777777"
LIGHT = "#e4e4e4"
MARKER: dict[str, str] = {GREEDY.name: "D", TEMPERATURE.name: "o", PERTURBATION.name: "s", IMPORTED.name: "^"}
DASH: dict[str, Any] = {TEMPERATURE.name: "-", PERTURBATION.name: (0, (4, 1.6)), IMPORTED.name: (0, (1, 1))}
_SCALE: dict[str, tuple[str, float, float]] = {
    TEMPERATURE.name: ("viridis", 0.08, 0.82),
    PERTURBATION.name: ("inferno", 0.3, 0.82),
    IMPORTED.name: ("RdPu_r", 0.1, 0.5),
}


def figure(title: str, notes: Sequence[str], columns: int = 1, height: float = 4.8) -> tuple[Figure, list[Axes]]:
    """A figure with a title above, small notes below, and so many axes side by side that share y."""
    made = Figure(figsize=(8.4, height), layout="constrained")
    FigureCanvasAgg(made)
    made.suptitle("\n".join(fill(line, 92) for line in title.splitlines()), x=0.012, ha="left", fontsize=11)
    made.supxlabel(fill(" · ".join(notes), 130), x=0.012, ha="left", fontsize=7.5, color="#444444")
    return made, list(made.subplots(1, columns, sharey=True, squeeze=False)[0])


def percent(axes: Axes, axis: str = "y", top: float = 1.0) -> None:
    """Shares as percent, from 0 to `top`."""
    chosen = axes.yaxis if axis == "y" else axes.xaxis
    chosen.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 6):g}%"))
    if axis == "y":
        axes.set_ylim(0, top)
    else:
        axes.set_xlim(0, top)


def draws_axis(axes: Axes, most: int) -> None:
    """The k of pass@k on a logarithmic axis of base 2, with its powers of two written out."""
    axes.set_xscale("log", base=2)
    powers = [2**i for i in range(most.bit_length())]
    axes.xaxis.set_major_locator(FixedLocator(powers[:: 1 + len(powers) // 11]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{int(k):,}"))
    axes.set_xlim(1, max(most, 2))
    axes.set_xlabel("k (draws)")


def headroom(shares: Sequence[float]) -> float:
    """The top of an axis from 0 that need not reach 100%: a little above the greatest share."""
    return min(1.0, max(0.05, 1.15 * max(shares, default=0)))


def colours(method: str, count: int) -> list[str]:
    """One colour per value, ordered dark to light, never so light that print loses it."""
    name, dark, light = _SCALE[method]
    return [to_hex(colormaps[name](dark + (light - dark) * (0.5 if count == 1 else i / (count - 1)))) for i in range(count)]


def legend(axes: Axes, beside: Axes | None = None, title: str | None = None) -> None:
    """What `axes` shows, to the right of it or of the axes `beside`, never over them; error bars first."""
    handles, labels = axes.get_legend_handles_labels()
    found = sorted(zip(handles, labels, strict=True), key=lambda pair: not isinstance(pair[0], ErrorbarContainer))
    if found:
        (beside or axes).legend(
            [handle for handle, _ in found],
            [fill(text, 34) for _, text in found],
            loc="upper left",
            bbox_to_anchor=(1.03, 1.0),
            borderaxespad=0,
            title=title,
            title_fontsize=8,
            alignment="left",
            ncols=1 + len(found) // 21,
        )


def short(name: str, longest: int = 48) -> str:
    """A long model name with its middle left out."""
    half = longest // 2 - 1
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


@contextmanager
def drawing_into(folder: Path) -> Iterator[None]:
    """Creates the folder, and draws in our style inside. Raises UserError where the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with applied():
            yield
    except OSError as error:
        raise UserError(f"{folder}: plots cannot be written there ({error.strerror or error}); name another folder") from None


@contextmanager
def applied() -> Iterator[None]:
    """Within it plots look like this, whatever the user's own matplotlib settings are."""
    with rc_context():
        rcdefaults()
        rcParams.update(RC)  # type: ignore[arg-type]
        yield


def save(made: Figure, path: Path) -> list[Path]:
    """Writes the figure as PNG and as SVG."""
    kinds: dict[str, dict[str, Any]] = {"png": {"dpi": 150}, "svg": {"metadata": {"Date": None}}}
    paths = []
    for kind, how in kinds.items():
        content = BytesIO()
        made.savefig(content, format=kind, **how)
        paths.append(path.with_name(f"{path.name}.{kind}"))
        write_whole(paths[-1], content.getvalue(), follow=False)
    return paths
