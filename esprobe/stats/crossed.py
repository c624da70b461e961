"""The true spread of models that all met the same problems, with its interval: variances of a crossed design, with numpy.

Knows a matrix of shares by problem and model. Knows no database and no layout.
"""

from dataclasses import dataclass
from math import sqrt

from esprobe.stats.intervals import Interval
from esprobe.stats.resampling import Floats
from esprobe.stats.student import chi_square_quantile

FEWEST = 3  # models, and problems, without which nothing can be left out and still vary
FEW_MODELS = 30  # fewer do not show how skewed the distribution of quality is, on which the interval depends
FEW_ANSWERS = 20  # right ones, or wrong ones, of a model: fewer come from few problems, which do not show how unequal they are


@dataclass(frozen=True)
class TrueSpread:
    """`observed` = s², the variance of n models' accuracies on m problems; `luck`: what it would be were all models equal.

    `variance` = τ² = (s² − luck)·m/(m − 1), the variance of the models' true accuracies: unbiased, so at times below 0.
    """

    observed: float
    luck: float
    variance: float
    interval: Interval | None

    @property
    def deviation(self) -> float:
        """τ; 0 where τ² is not above 0."""
        return sqrt(max(0.0, self.variance))


def true_spread(shares: Floats) -> TrueSpread:
    """From (m, n): each model's share of correct samples on each problem, 0 or 1 where it has one sample.

    τ² is the mean over pairs of different problems of the covariance of their verdicts among the models: the between-model mean
    square less the model × problem mean square, over m. Its interval is that of s² as a χ² whose degrees of freedom, 2·s⁴/Var,
    follow from jackknives over models and over problems, less the luck; models vary at least as if their quality were normal.
    """
    m, n = int(shares.shape[0]), int(shares.shape[1])
    own = shares.var(1, ddof=1)  # (m,)
    totals = shares.sum(0)  # (n,)
    observed, luck = float(totals.var(ddof=1)) / m**2, float(own.sum()) / m**2
    variance = (observed - luck) * m / (m - 1)
    if min(m, n) < FEWEST or luck == 0:
        return TrueSpread(observed, luck, variance, None)
    of_models = max(_over_models(shares, totals), 2 * observed**2 / (n - 1))  # few models cannot show how long their tails are
    of_problems = _over_problems(shares, totals, own, variance, luck)
    freedom = max(1.0, 2 * observed**2 / (of_models + of_problems))
    low, high = (observed * freedom / chi_square_quantile(p, freedom) for p in (0.025, 0.975))
    scale = m / (m - 1)
    doubt = f"few models ({n})" if n < FEW_MODELS else few_answers(float(shares.mean()), m)
    return TrueSpread(observed, luck, variance, Interval((low - luck) * scale, (high - luck) * scale, doubt))


def few_answers(accuracy: float, problems: int) -> str:
    """Which answers are so few that an interval of this accuracy is not trustworthy; empty where neither are."""
    for share, name in ((accuracy, "right"), (1 - accuracy, "wrong")):
        if share * problems < FEW_ANSWERS:
            return f"fewer than {FEW_ANSWERS} {name} answers per model"
    return ""


def _over_models(shares: Floats, totals: Floats) -> float:
    """The jackknife variance of τ² over models."""
    m, n = int(shares.shape[0]), int(shares.shape[1])
    squares = (totals - totals.mean()) ** 2  # (n,)
    own = ((shares - shares.mean(1, keepdims=True)) ** 2).sum(0)  # (n,)
    without = squares - own
    values = (without.sum() - n / (n - 1) * without) / (n - 2) / (m * (m - 1))
    return float(values.var() * (n - 1))


def _over_problems(shares: Floats, totals: Floats, own: Floats, variance: float, luck: float) -> float:
    """What problems of unequal discrimination add: their jackknife variance of τ², less what the models' has already."""
    m, n = int(shares.shape[0]), int(shares.shape[1])
    together = shares @ (totals - totals.mean()) / (n - 1)  # (m,): covariance of each problem with the total
    without = totals.var(ddof=1) - 2 * together + own - (own.sum() - own)
    values = without / ((m - 1) * (m - 2))
    gross = float(values.var() * (m - 1))
    there = 4 * luck * (max(0.0, variance) + luck) / (n - 1)
    return max(0.0, gross - there)
