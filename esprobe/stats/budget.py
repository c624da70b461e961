"""The difference of trained models and a sampler at equal budget: its interval over problems and training seeds, and the verdict.

Knows shares by training seed and problem. Knows no arm, no database and no layout. The rule of the interval was chosen by
simulation: `python -m tests.benchmarks.budget`.

Cameron, Gelbach & Miller 2011, "Robust Inference with Multi-Way Clustering".
Satterthwaite 1946, "An Approximate Distribution of Estimates of Variance Components".
"""

from dataclasses import dataclass
from math import ceil, inf, sqrt
from typing import Literal

from esprobe.stats.intervals import Interval, SharedDraws, least_variance, share_interval
from esprobe.stats.resampling import Floats
from esprobe.stats.student import Z, t_quantile

Word = Literal["sampling suffices", "training needed", "undecided"]
POWERED = Z + 0.8416212335729143  # 97.5% and 80% quantiles of the normal distribution: a 5% test finds the effect 4 times in 5


@dataclass(frozen=True)
class Delta:
    """Trained − sampler, mean over problems and training seeds, with its 95% interval.

    `of_problems`: the variance of one problem's difference, mean over seeds. `of_seeds`, `of_models`: what training seeds and the
    sampler's perturbed models add to the variance of the mean.
    """

    value: float
    interval: Interval
    problems: int
    seeds: int
    of_problems: float
    of_seeds: float
    of_models: float

    def word(self, margin: float) -> Word:
        """Non-inferiority of the sampler comes first: a difference between 0 and the margin is too small to need training."""
        if self.interval.high < margin:
            return "sampling suffices"
        return "training needed" if self.interval.low > 0 else "undecided"

    def problems_needed(self, margin: float) -> int | None:
        """How many problems decide, with a power of 80%, where the true difference is the one found.

        n = (1.96 + 0.84)² · (d − Δ²) / δ², d − Δ² being the variance of one problem's difference (d the share of problems where
        the two differ) and δ how far Δ is from the farther of 0 and the margin. What seeds and models add does not fall with the
        number of problems: it is subtracted from (δ/2.8)², and where nothing is left, None.
        """
        reach = max(self.value, margin - self.value)
        left = (reach / POWERED) ** 2 - self.of_seeds - self.of_models
        return ceil(self.of_problems / left) if left > 0 else None


def equal_budget(trained: Floats, sampler: Floats, of_models: float = 0.0, models: int = 0) -> Delta:
    """Δ of S training seeds on m problems, (S, m), and a sampler on the same, (m,).

    `of_models`: variance that the sampler's choice among so many perturbed `models` adds. Variance = V_p + V_s + V_models with
    Satterthwaite's degrees of freedom: V_p over problems has what problems and seeds do together, V_s is net of it, see `_seeds`.
    The seeds' part counts with one degree of freedom less, since so few seeds leave the degrees of freedom themselves uncertain.
    One seed cannot show how much seeds vary: then the interval is that of this one model.
    """
    differences = trained - sampler
    each = differences.mean(0)
    seeds, size = differences.shape
    value = float(each.mean())
    over_problems = max(float(each.var(ddof=1)) / size, least_variance(each.tolist()))
    shared = _seeds(differences)
    variance = over_problems + shared.net + of_models
    weight = over_problems**2 / (size - 1)
    weight += shared.gross**2 / max(1, seeds - 2)
    weight += of_models**2 / (models - 1) if models > 1 else 0.0
    freedom = min(size - 1.0, max(1.0, variance**2 / weight))
    half = t_quantile(freedom) * sqrt(variance)
    interval = Interval(max(-1.0, value - half), min(1.0, value + half))
    return Delta(
        value=value,
        interval=interval,
        problems=size,
        seeds=seeds,
        of_problems=over_problems * size,
        of_seeds=shared.net,
        of_models=of_models,
    )


def trained_interval(trained: Floats) -> Interval | None:
    """The 95% interval of the mean of (S, m) shares, over problems and, where there are several, training seeds."""
    each = trained.mean(0)
    shared = _seeds(trained) if len(trained) > 1 else None
    found = share_interval(float(each.mean()), float(each.var(ddof=1)) / len(each), len(each), shared)
    return None if found is None else Interval(found.low, found.high)


def _seeds(table: Floats) -> SharedDraws:
    """What seeds add to the squared standard error over problems of the mean of an (S, m) table; nothing for a single seed.

    Σ_s (x̄_s − x̄)² / (S(S − 1)) has, like the variance over problems, the mean square of what is left of x_si without the means
    of its seed and problem, over S·m: that is subtracted once (two-way clustering), but never below 0.
    """
    seeds, size = table.shape
    if seeds < 2:
        return SharedDraws(1, seeds, 0.0, 0.0, inf)
    by_seed = table.mean(1)
    gross = float(by_seed.var(ddof=1)) / seeds
    rest = table - by_seed[:, None] - table.mean(0) + table.mean()
    both = float((rest**2).sum()) / ((seeds - 1) * (size - 1)) / (seeds * size)
    return SharedDraws(1, seeds, max(0.0, gross - both), gross, inf)
