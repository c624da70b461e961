"""Plots of vote@k beside pass@k: what the draws are worth without a verifier, and with one.

Knows a subject's data and the style. A function returns a figure, or in a few words why these data make none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from esprobe.analysis.arms import ArmRow
from esprobe.analysis.votes import KEYS, Key
from esprobe.methods import SAMPLED
from esprobe.report.plots import style
from esprobe.report.plots.curves import BANDS, levels, subtitle
from esprobe.report.plots.data import Subject
from esprobe.stats.intervals import Interval


@dataclass(frozen=True)
class _Point:
    k: int
    share: float
    interval: Interval | None


def vote_at_k(subject: Subject) -> Figure | str:
    """pass@k, and vote@k by each kind of ballot that there is, of every arm in the same colour."""
    data = subject.data
    arms = data.of(*SAMPLED, least=2)
    kinds = [key for key in KEYS if any(data.found.votes[arm.arm_id].has(key) for arm in arms if arm.arm_id in data.found.votes)]
    if not kinds:
        return "needs an arm with at least 2 draws, and a vote"
    notes = [f"scored by {subject.scorer}", BANDS, "vote@k: the most frequent ballot of k draws is correct, ties shared"]
    made, axes = style.figure(f"pass@k and vote@k\n{subtitle(subject, arms)}", notes, columns=1 + len(kinds))
    panels = [("pass@k, with a verifier", [_passes(subject, arm) for arm in arms])]
    panels += [(f"vote@k by {key}", [_votes(subject, arm, key) for arm in arms]) for key in kinds]
    for ax, (title, curves) in zip(axes, panels, strict=True):
        _draw(subject, ax, arms, curves)
        ax.set_title(title, fontsize=9)
        levels(subject, ax, arms)
        style.draws_axis(ax, max(data.depth(arm) for arm in arms))
    style.percent(axes[0])
    axes[0].set_ylabel("mean over problems")
    style.legend(axes[0], beside=axes[-1])
    return made


def _passes(subject: Subject, arm: ArmRow) -> list[_Point]:
    return [_Point(at.k, at.pass_at_k, at.interval) for at in subject.data.curve(arm)]


def _votes(subject: Subject, arm: ArmRow, key: Key) -> list[_Point]:
    """At the k of the arm's pass@k, where all of its problems have that many draws."""
    votes = subject.data.found.votes[arm.arm_id]
    found = [votes.at(key, at.k) for at in subject.data.curve(arm)]
    return [_Point(vote.k, vote.vote_at_k, vote.interval) for vote in found if vote is not None]


def _draw(subject: Subject, axes: Axes, arms: Sequence[ArmRow], curves: Sequence[Sequence[_Point]]) -> None:
    shades: dict[str, Iterator[str]] = {
        method.name: iter(style.colours(method.name, sum(a.method == method.name for a in arms))) for method in SAMPLED
    }
    for arm, points in zip(arms, curves, strict=True):
        ks, colour = [point.k for point in points], next(shades[arm.method])
        look = {"ls": style.DASH[arm.method], "marker": style.MARKER[arm.method], "color": colour}
        axes.plot(ks, [point.share for point in points], label=subject.labels[arm.arm_id], clip_on=False, zorder=3, **look)
        known = [point.interval is not None and point.interval.trustworthy for point in points]
        low, high = zip(*(point.interval or (point.share, point.share) for point in points), strict=True)
        axes.fill_between(ks, low, high, where=known, color=colour, alpha=0.16 if len(arms) <= 4 else 0.07, lw=0)
