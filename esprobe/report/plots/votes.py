"""Plot of vote@k next to pass@k: what the draws are worth without a verifier, and with one.

Knows a subject's data and the style. A function returns a figure, or in a few words why these data make none.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from esprobe.analysis.arms import ArmRow
from esprobe.analysis.votes import KEYS, Key
from esprobe.methods import SAMPLED
from esprobe.report.plots import style
from esprobe.report.plots.curves import banded, ceiling_line, draw_curves, greedy_marks, highest, subtitle, unsolving
from esprobe.report.plots.data import Point, Subject, at_k, curve
from esprobe.report.plots.findings import listed, most_found
from esprobe.report.plots.labels import at_ends, room


def vote_at_k(subject: Subject) -> Figure | str:
    """pass@k, and vote@k by the kind of ballot that asks least of the answers, of every arm that solves anything."""
    data = subject.data
    arms = subject.solving(data.of(*SAMPLED, least=2))
    kinds = [key for key in KEYS if any(data.found.votes[arm.arm_id].has(key) for arm in arms if arm.arm_id in data.found.votes)]
    if not kinds:
        return "needs an arm that solves something with at least 2 draws, and a vote"
    passes = {arm.arm_id: curve(subject, arm) for arm in arms}
    votes = {arm.arm_id: _votes(subject, arm, kinds[0]) for arm in arms}
    wide = banded(subject, arms)
    notes = [
        f"scored by {subject.scorer}",
        f"bands: 95% intervals of {listed([subject.labels[arm.arm_id] for arm in wide])}, where they are trustworthy",
        "vote@k: the most frequent ballot of k draws is correct, ties shared",
        *_other_ballots(subject, arms, kinds),
        *unsolving(subject, data.of(*SAMPLED, least=2)),
    ]
    height = room(len(arms) + 1)
    made, axes = style.figure(f"{_found(subject, arms, kinds[0])}\n{subtitle(subject, arms)}", notes, 2, height)
    style.share_axis(axes[0], max(highest(passes.values()), highest(filter(None, votes.values()))))
    for ax, title, curves in zip(axes, ("pass@k, with a verifier", f"vote@k by {kinds[0]}"), (passes, votes), strict=True):
        style.draws_axis(ax, max(data.depth(arm) for arm in arms))
        shown = [arm for arm in arms if curves[arm.arm_id]]
        ends = draw_curves(subject, ax, shown, curves, wide)
        greedy_marks(subject, ax, [curves[arm.arm_id] for arm in shown], width=0.55)
        at_ends(ax, [*ends, *ceiling_line(ax, arms)], height)
        ax.set_title(title, fontsize=9)
    axes[0].set_ylabel("mean over problems")
    return made


def _found(subject: Subject, arms: Sequence[ArmRow], key: Key) -> str:
    """The best vote at the largest k that all arms have, and what the best arm has with a verifier."""
    k = min(subject.data.depth(arm) for arm in arms)
    votes = {arm.arm_id: _vote_at(subject, arm, key, k) for arm in arms}
    voting = [arm for arm in arms if votes[arm.arm_id]]
    passes = [point for arm in arms if (point := at_k(subject, arm, k))]
    solving = most_found([subject.labels[arm.arm_id] for arm in arms], passes)
    if not voting:
        return solving
    found = most_found([subject.labels[arm.arm_id] for arm in voting], [point for point in votes.values() if point])
    without = found.partition(", guessing")[0]  # which a vote does not beat by chance
    return f"By vote {without}; with a verifier {solving}"


def _vote_at(subject: Subject, arm: ArmRow, key: Key, k: int) -> Point | None:
    votes = subject.data.found.votes.get(arm.arm_id)
    vote = votes and votes.at(key, k)
    return Point.voted(vote) if vote else None


def _votes(subject: Subject, arm: ArmRow, key: Key) -> list[Point]:
    """At the k of the arm's pass@k, where all of its problems have that many draws."""
    votes = subject.data.found.votes.get(arm.arm_id)
    found = [] if votes is None else [votes.at(key, at.k) for at in subject.data.curve(arm)]
    return [Point.voted(vote) for vote in found if vote is not None]


def _other_ballots(subject: Subject, arms: Sequence[ArmRow], kinds: Sequence[Key]) -> list[str]:
    """How far the vote by the other kind of ballot is away, which has no panel of its own."""
    if len(kinds) < 2:
        return []
    pairs = [zip(_votes(subject, arm, kinds[0]), _votes(subject, arm, kinds[1]), strict=False) for arm in arms]
    farthest = max((abs(a.share - b.share) for pair in pairs for a, b in pair), default=0.0)
    return [f"by {kinds[1]}: at most {100 * farthest:.1f} points away"]
