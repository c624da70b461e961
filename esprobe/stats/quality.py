"""Whether perturbed models truly differ in quality, or only by the luck of so many problems.

Knows counts of verdicts, no database and no layout. Plain Python; choosing models on halves of the problems is in halves.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from esprobe.stats.student import chi_square_tail


@dataclass(frozen=True)
class Spread:
    """How much n models on m problems vary in accuracy: `observed` = s², of which `luck` is expected without any difference.

    `true` = s² − luck = τ², the variance of true quality, unbiased and so at times below 0; `p` of no difference.
    """

    models: int
    problems: int
    observed: float
    luck: float
    p: float | None

    @property
    def true(self) -> float:
        """τ² = s² − Σ sᵢ²/m²."""
        return self.observed - self.luck

    @property
    def tau(self) -> float:
        """The standard deviation of true quality; 0 where τ² is not above 0."""
        return sqrt(max(0.0, self.true))


def spread(by_model: Sequence[int], by_problem: Sequence[int]) -> Spread | None:
    """From the correct counts of n models (each on all m problems) and of m problems (each by all n models); None for one model.

    sᵢ² = cᵢ(n − cᵢ)/(n(n − 1)) is the variance of problem i's verdicts among the models. Were the models equally good, a
    problem's verdicts could be exchanged among them, and s² would be Σ sᵢ²/m² in the mean over all such exchanges. p: Cochran's
    Q (1950), (n − 1)·s²/(Σ sᵢ²/m²), which is then χ² with n − 1 degrees of freedom; None where every problem is solved by all
    or by none, and there is nothing to exchange.
    """
    n, m = len(by_model), len(by_problem)
    if n < 2 or m < 1:
        return None
    mean = sum(by_model) / n
    observed = sum((count - mean) ** 2 for count in by_model) / (n - 1) / m**2
    luck = sum(c * (n - c) for c in by_problem) / (n * (n - 1)) / m**2
    p = chi_square_tail((n - 1) * observed / luck, n - 1) if luck > 0 else None
    return Spread(models=n, problems=m, observed=observed, luck=luck, p=p)
