"""Names at the ends of lines, so that no reader goes back and forth to a legend: where they stand without overlap.

Knows axes and text. Must not know what the lines mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes

from esprobe.report.plots.style import wrapped

Place = tuple[float, float]  # x, y
Box = tuple[float, float, float, float]  # left, right, bottom, top

SIZE = 8.0  # points
LINE = 1.3 * SIZE  # points from one line of text to the next
WIDEST = 24  # characters of a line
MARK = 4.5  # points from the middle of a marker to its edge
GAP = 8.0  # points from a marker to its name
USED = 0.66  # of a figure's height, at least, is its axes: the rest is title, ticks and notes


@dataclass(frozen=True)
class End:
    """The last point of a line, in the units of its axes, and what the line is called."""

    x: float
    y: float
    text: str
    colour: str
    bold: bool = False


def spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """The centres of labels of these heights, in the order of `wanted`, as near to it as they can be without overlap.

    Least squares under p[i+1] − p[i] ≥ (h[i] + h[i+1])/2: isotonic regression by pooling adjacent violators, after what lies
    below each label is taken off. All are between `low` and `high` where there is room for all.
    """
    if not wanted:
        return []
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])  # stable: equals keep their order
    below = [0.0]
    for i, j in pairwise(order):
        below.append(below[-1] + (heights[i] + heights[j]) / 2)
    pools: list[tuple[float, int]] = []  # (sum, count) of labels that touch
    for i, offset in zip(order, below, strict=True):
        total, count = wanted[i] - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            more, others = pools.pop()
            total, count = total + more, count + others
        pools.append((total, count))
    least = low + heights[order[0]] / 2
    most = max(least, high - heights[order[-1]] / 2 - below[-1])
    places = [min(most, max(least, total / count)) for total, count in pools for _ in range(count)]
    found = [0.0] * len(wanted)
    for i, place, offset in zip(order, places, below, strict=True):
        found[i] = place + offset
    return found


def at_ends(axes: Axes, ends: Sequence[End], height: float) -> None:
    """Writes the names to the right of the axes of a figure of `height` inches, each with a thin line to its line's end."""
    texts = [wrapped(end.text, WIDEST) for end in ends]
    bottom, top = axes.get_ylim()
    line = LINE / (72 * height * USED)  # as a share of the axes
    heights = [line * (1 + text.count("\n")) for text in texts]
    wanted = [(end.y - bottom) / (top - bottom) for end in ends]
    for end, text, place in zip(ends, texts, spread(wanted, heights, -0.04, 1.04), strict=True):
        axes.annotate(
            text,
            xy=(end.x, end.y),
            xytext=(1.035, place),
            textcoords="axes fraction",
            color=end.colour,
            fontsize=SIZE,
            fontweight="bold" if end.bold else "normal",
            va="center",
            linespacing=1.1,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": end.colour,
                "lw": 0.6,
                "alpha": 0.7,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )


def room(ends: int, least: float = 4.8) -> float:
    """The height of a figure, in inches, that has room for so many names of one line."""
    return max(least, (ends + 1) * LINE / (72 * USED))


def at_points(axes: Axes, points: Sequence[End], size: tuple[float, float], lines: Sequence[Sequence[Place]] = ()) -> None:
    """Writes the names next to points of axes of this size in points, each where it covers no point, line or other name.

    `lines`: the corners of each, in the units of the axes.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()

    def placed(x: float, y: float) -> Place:
        return (x - left) / (right - left) * size[0], (y - bottom) / (top - bottom) * size[1]

    places, widths = [placed(p.x, p.y) for p in points], [0.62 * SIZE * len(p.text) for p in points]
    pieces = [piece for line in lines for piece in pairwise(placed(*corner) for corner in line)]
    for point, (dx, dy) in zip(points, beside(places, widths, size[0], pieces), strict=True):
        axes.annotate(
            point.text,
            xy=(point.x, point.y),
            xytext=(dx, dy),
            textcoords="offset points",
            color=point.colour,
            fontsize=SIZE,
            va="center",
            annotation_clip=False,
            zorder=4,
            arrowprops={"arrowstyle": "-", "color": point.colour, "lw": 0.5, "alpha": 0.6, "shrinkA": 0, "shrinkB": 4},
        )


def beside(
    places: Sequence[Place], widths: Sequence[float], right: float, pieces: Sequence[tuple[Place, Place]] = ()
) -> list[Place]:
    """For each place, all in points, how far away the left middle of its name begins; the first free spot, nearest first.

    `right`: where the axes end, beyond which a name may not reach. `pieces`: straight lines that no name may cover.
    """
    taken = [(x - MARK, x + MARK, y - MARK, y + MARK) for x, y in places]
    found = []
    for (x, y), width in zip(places, widths, strict=True):
        spots = [
            (dx, dy)
            for away in range(8)
            for dy in ((0.0,) if away == 0 else (away * LINE, -away * LINE))
            for dx in (GAP, -GAP - width, -width / 2)
            if away or dx != -width / 2
        ]
        boxes = [(x + dx, x + dx + width, y + dy - LINE / 2, y + dy + LINE / 2) for dx, dy in spots]
        inside = [i for i, box in enumerate(boxes) if box[0] >= 0 and box[1] <= right]
        free = [i for i in inside if not any(_meet(boxes[i], other) for other in taken)]
        clear = (i for i in free if not any(_through(boxes[i], *piece) for piece in pieces))
        chosen = next(clear, next(iter(free), 0))
        taken.append(boxes[chosen])
        found.append(spots[chosen])
    return found


def _through(box: Box, start: Place, end: Place) -> bool:
    """Whether a straight line runs through a box: what of it is left by cutting it off at each edge (Liang and Barsky 1984)."""
    first, last = 0.0, 1.0  # the part that is inside, as shares of its length
    for low, high, at, step in ((*box[:2], start[0], end[0] - start[0]), (*box[2:], start[1], end[1] - start[1])):
        if step == 0:
            if not low < at < high:
                return False
            continue
        enters, leaves = sorted(((low - at) / step, (high - at) / step))
        first, last = max(first, enters), min(last, leaves)
    return first < last


def _meet(one: Box, other: Box) -> bool:
    """Whether two boxes (left, right, bottom, top) have an area in common."""
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
