"""What the plots call things: the arms of one model and task with their labels and the names of their files; bins of counts.

Knows what is plotted. Draws nothing and loads no drawing library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from esprobe.analysis.arms import ArmRow, AtK, told_apart
from esprobe.analysis.baselines import Tried
from esprobe.analysis.overview import Overview
from esprobe.analysis.plotted import PlotData
from esprobe.analysis.votes import VoteAt
from esprobe.methods import SAMPLED
from esprobe.report.files import hyphened, slug
from esprobe.report.render import shown
from esprobe.report.words import arm_name
from esprobe.stats.intervals import Interval


@dataclass(frozen=True)
class Subject:
    """What one set of plots is about. `slug`: the beginning of its files' names; `labels`: what to call each arm."""

    model: str
    slug: str
    scorer: str
    labels: Mapping[int, str]
    data: PlotData

    @property
    def drawn(self) -> tuple[ArmRow, ...]:
        """The arms that plots can show, which have draws that differ and solve something: each has one colour in all plots."""
        return self.solving(self.data.of(*SAMPLED))

    def solving(self, arms: Sequence[ArmRow]) -> tuple[ArmRow, ...]:
        """Those of the arms that have a correct draw."""
        return tuple(arm for arm in arms if arm.correct)


@dataclass(frozen=True)
class Point:
    """One share at one k: what is drawn of pass@k or vote@k. `band`: the ends of its 95% interval where that is trustworthy."""

    k: int
    share: float
    band: tuple[float, float] | None
    chance: float | None = None

    @property
    def high(self) -> float:
        """What of it reaches highest."""
        return self.band[1] if self.band else self.share

    @classmethod
    def passed(cls, at: AtK) -> "Point":
        """Of pass@k."""
        return cls(at.k, at.pass_at_k, band(at.interval), at.chance)

    @classmethod
    def voted(cls, at: VoteAt) -> "Point":
        """Of vote@k, with which no guess competes."""
        return cls(at.k, at.vote_at_k, band(at.interval))


def band(interval: Interval | None) -> tuple[float, float] | None:
    """The ends of the interval; None where there is none, or none to be trusted."""
    return (interval.low, interval.high) if interval is not None and interval.trustworthy else None


def curve(subject: Subject, arm: ArmRow) -> list[Point]:
    """pass@k of an arm at k = 1, 2, 4, … and its depth."""
    return [Point.passed(at) for at in subject.data.curve(arm)]


def at_k(subject: Subject, arm: ArmRow, k: int) -> Point | None:
    """pass@k of an arm over all its problems; None where some problem has fewer draws."""
    at = subject.data.point(arm, k)
    return None if at is None else Point.passed(at)


def subjects(seen: Overview, plotted: Sequence[PlotData]) -> list[Subject]:
    """What is plotted, with its names, in its order."""
    settings = told_apart(seen.arms)
    return [
        Subject(
            model=shown(data.arms[0].model),
            slug=start,
            scorer=shown(seen.scorer),
            labels={arm.arm_id: shown(arm_label(arm, settings.get(arm.arm_id, ""))) for arm in data.arms},
            data=data,
        )
        for start, data in zip(_starts(plotted), plotted, strict=True)
    ]


def _starts(plotted: Sequence[PlotData]) -> list[str]:
    """The beginning of each subject's file names: the model's name, and its digest and its task where two are alike."""
    firsts = [data.arms[0] for data in plotted]
    starts = []
    for arm in firsts:
        start = slug(arm.model)
        alike = [other for other in firsts if slug(other.model).lower() == start.lower()]
        of_model = f"-{sha256(arm.model_digest.encode()).hexdigest()[:6]}" if len({a.model_digest for a in alike}) > 1 else ""
        of_task = f"-{hyphened(arm.task)}" if len({a.task for a in alike}) > 1 else ""
        starts.append(start + of_model + of_task)
    return starts


def arm_label(arm: ArmRow, settings: str = "") -> str:
    """For legends: `T 0.4`, `σ 0.01`, `greedy`, and the settings that tell it apart from one alike."""
    name = arm_name(arm)
    return f"{name} ({settings})" if settings else name


def coverage_and_depth(tried: Sequence[Tried]) -> tuple[float, float]:
    """The share of problems with a correct draw, and the mean share of correct draws on those problems (0 without any)."""
    rates = [problem.c / problem.n for problem in tried if problem.c]
    return len(rates) / len(tried), sum(rates) / len(rates) if rates else 0.0


def count_bins(most: int) -> list[tuple[int, int]]:
    """Ranges of correct counts: 0, 1, 2–3, 4–7, … and, apart, all `most`; for few draws each count by itself."""
    if most <= 6:
        return [(c, c) for c in range(most + 1)]
    bins, low = [(0, 0)], 1
    while low < most:
        bins.append((low, min(2 * low - 1, most - 1)))
        low *= 2
    return [*bins, (most, most)]


def count_shares(tried: Sequence[Tried], bins: Sequence[tuple[int, int]]) -> list[float]:
    """The share of problems whose correct count falls into each range."""
    return [sum(low <= problem.c <= high for problem in tried) / len(tried) for low, high in bins]
