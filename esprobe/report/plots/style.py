"""How every plot looks: colours that colour-blind people and grey printers tell apart, axes in percent, titles, legends.

Knows matplotlib, not what is plotted.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import Any
from warnings import catch_warnings, filterwarnings

from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from esprobe.analysis.best import ArmLike
from esprobe.methods import GREEDY, IMPORTED, PERTURBATION, TEMPERATURE
from esprobe.report.layout import width_of
from esprobe.report.plots.findings import unbroken
from esprobe.report.plots.fonts import DEFAULT, families

JOINER = "\u2060"  # has no width of its own
HEIGHT = 4.8  # inches
TITLE = 100  # characters of a title's line, by their mean width
FLAT = 0.45  # shares that are all below it would lie at the bottom of an axis up to 100%
RC: dict[str, Any] = {
    "font.family": DEFAULT,
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
    "pdf.fonttype": 42,  # as journals ask
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
GREY = "#707070"
LIGHT = "#e4e4e4"
MARKER: dict[str, str] = {GREEDY.name: "D", TEMPERATURE.name: "o", PERTURBATION.name: "s", IMPORTED.name: "^"}
DASH: dict[str, Any] = {TEMPERATURE.name: "-", PERTURBATION.name: (0, (4, 1.6)), IMPORTED.name: (0, (1, 1))}
# From dark to light, never so light that print loses it: cool hues, warm ones and purple stay apart for colour-blind eyes too.
_SCALE: dict[str, tuple[str, str, str]] = {
    TEMPERATURE.name: ("#172a63", "#0072B2", "#3fa9d6"),
    PERTURBATION.name: ("#5e1224", "#D55E00", "#e39a2b"),
    IMPORTED.name: ("#5b2a57", "#b2588f", "#d38bb9"),
}
MODELS = ("#000000", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#0072B2", "#D55E00", "#777777")  # Okabe and Ito's, by model


def figure(
    title: str, notes: Sequence[str], columns: int = 1, height: float = HEIGHT, share_y: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure with a title above, small notes below, and so many axes side by side, which share y unless told otherwise."""
    made = Figure(figsize=(8.4, height), layout="constrained")
    FigureCanvasAgg(made)
    made.suptitle("\n".join(wrapped(line, TITLE) for line in title.splitlines()), x=0.012, ha="left", fontsize=11)
    made.supxlabel(wrapped(" · ".join(notes), 138), x=0.012, ha="left", fontsize=7.5, color="#444444")
    return made, list(made.subplots(1, columns, sharey=share_y, squeeze=False)[0])


def wrapped(text: str, width: int) -> str:
    """The text in lines of this width, none of which ends within `[1.0, 2.0]`, `T 0.4` or `k = 8`, or after `◆`.

    Characters that are as wide as two, such as Chinese ones, count as two.
    """
    whole = "".join(c + JOINER * (width_of(c) - 1) for c in unbroken(text))
    return fill(whole, width).replace("\u00a0", " ").replace(JOINER, "")


def percent(axes: Axes, axis: str = "y", top: float = 1.0) -> None:
    """Shares as percent, from 0 to `top`."""
    chosen = axes.yaxis if axis == "y" else axes.xaxis
    chosen.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 6):g}%"))
    if axis == "y":
        axes.set_ylim(0, top)
    else:
        axes.set_xlim(0, top)


def draws_axis(axes: Axes, most: int) -> None:
    """The k of pass@k on a logarithmic axis of base 2, with its powers of two written out, and the last k where it has room."""
    axes.set_xscale("log", base=2)
    powers = [2**i for i in range(most.bit_length())]
    ticks = powers[:: 1 + len(powers) // 11]
    axes.xaxis.set_major_locator(FixedLocator([*ticks, most] if most > 1.35 * powers[-1] else ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{int(k):,}"))
    axes.set_xlim(1, max(most, 2))
    axes.set_xlabel("k (draws)")


def share_axis(axes: Axes, highest: float) -> None:
    """Shares as percent up to 100%, or from 0 to a little above the highest where that would be a flat line at the bottom."""
    percent(axes, top=1.0 if highest > FLAT else headroom([highest]))


def headroom(shares: Sequence[float]) -> float:
    """The top of an axis from 0 that need not reach 100%: a little above the greatest share."""
    return min(1.0, max(0.05, 1.15 * max(shares, default=0)))


def colours(method: str, count: int) -> list[str]:
    """One colour per value, ordered dark to light; a single one is the method's middle colour."""
    scale = LinearSegmentedColormap.from_list(method, _SCALE[method])
    return [to_hex(scale(0.5 if count == 1 else i / (count - 1))) for i in range(count)]


def of_arms(arms: Sequence[ArmLike]) -> dict[int, str]:
    """Arm id → colour: those of one method from dark to light, in their order, so that an arm looks alike in every plot."""
    found: dict[int, str] = {}
    for method in _SCALE:
        alike = [arm.arm_id for arm in arms if arm.method == method]
        found |= zip(alike, colours(method, len(alike)), strict=True)
    return found


def look(method: str, colour: str) -> dict[str, Any]:
    """How the line of an arm is drawn: colour, marker and dashes, as keywords of `plot`."""
    return {"color": colour, "ls": DASH.get(method, "-"), "marker": MARKER.get(method, "o")}


def amounts(count: int) -> list[str]:
    """One colour per amount, from little to much; none of them is an arm's."""
    scale = LinearSegmentedColormap.from_list("amounts", ("#d3ecdf", "#33a680", "#00382a"))
    return [to_hex(scale(i / max(1, count - 1))) for i in range(count)]


def legend(axes: Axes, beside: Axes | None = None, title: str | None = None) -> None:
    """What `axes` shows, to the right of it or of the axes `beside`, never over them; error bars first."""
    handles, labels = axes.get_legend_handles_labels()
    found = sorted(zip(handles, labels, strict=True), key=lambda pair: not isinstance(pair[0], ErrorbarContainer))
    if found:
        (beside or axes).legend(
            [handle for handle, _ in found],
            [wrapped(text, 34) for _, text in found],
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
def applied(text: str = "") -> Iterator[None]:
    """Within it plots look like this, whatever the user's own matplotlib settings are; `text`: what its fonts must have."""
    with rc_context(), catch_warnings():
        rcdefaults()
        rcParams.update(RC)  # type: ignore[arg-type]
        if text:
            rcParams["font.family"] = families(text)[0]
            filterwarnings("ignore", message="Glyph .* missing from")  # which is said in our own words
        yield
