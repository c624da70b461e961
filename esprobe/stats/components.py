"""Where the variance of a verdict on a problem comes from: which perturbed model answers, or which sample is drawn from it.

Knows a table of counts, no database and no layout. Loads numpy, so it is imported only where models have several samples.
"""

from dataclasses import dataclass

import numpy as np

from esprobe.stats.intervals import FEW
from esprobe.stats.resampling import Floats, bootstrap_interval, resample_problems

ROUNDS = 1000
SEED = 20251122


@dataclass(frozen=True)
class Components:
    """Variances of one verdict on one problem, mean over the problems: `within` models, `between` them, and `quality` of these.

    `quality` is what a model has in common on all problems; the rest of `between` is which problems a model solves. Unbiased, so
    the last two are below 0 at times. `share`: between / (between + within), None where all verdicts on each problem are alike.
    The 95% intervals are None for fewer than FEW models or problems, which cannot show how much they vary.
    """

    problems: int
    models: int
    samples: int
    within: float
    between: float
    quality: float
    share: float | None
    share_interval: tuple[float, float] | None
    quality_interval: tuple[float, float] | None


def components(correct: Floats, samples: int) -> Components | None:
    """From how many of m samples are correct, (problems, models); None for fewer than 2 samples or models, or 1 problem.

    One-way random effects on each problem (Searle, Casella & McCulloch 1992, ch. 3): with y the share of correct samples,
    within = y(1 − y)·m/(m − 1), mean over models, and between = s²(y) − within/m, both unbiased whatever the distribution.
    quality is the covariance of y, over models, between two different problems, mean over all pairs: samples on different
    problems are independent, so it has no part of `within`. Intervals: models and problems are resampled independently
    (a pigeonhole bootstrap, Owen 2007).
    """
    problems, models = correct.shape
    if samples < 2 or models < 2 or problems < 2:
        return None
    shares = correct / samples
    found = _estimates(shares, samples, np.ones((problems, 1)), np.ones((models, 1)), scale=models / (models - 1))[:, 0]
    within, between, quality = found.tolist()
    total = within + between
    if total <= 0:
        return Components(problems, models, samples, within, between, quality, None, None, None)
    share = between / total
    share_interval = quality_interval = None
    if min(models, problems) >= FEW:
        rng = np.random.default_rng(SEED)
        again = [resample_problems(size, ROUNDS, rng).astype(np.float64) for size in (problems, models)]
        within_again, between_again, quality_again = _estimates(shares, samples, *again, scale=(models / (models - 1)) ** 2)
        totals = within_again + between_again
        shares_again = np.where(totals > 0, between_again / np.where(totals > 0, totals, 1), share)
        low, high = bootstrap_interval(shares_again, share, min(models, problems))
        share_interval = max(0.0, low), min(1.0, high)
        quality_interval = bootstrap_interval(quality_again, quality, min(models, problems))
    return Components(problems, models, samples, within, between, quality, share, share_interval, quality_interval)


def _estimates(shares: Floats, samples: int, problems: Floats, models: Floats, *, scale: float) -> Floats:
    """(3, B): within, between and quality of each of B resamples. `problems`: (m, B) and `models`: (n, B), how often each is in.

    `scale` makes the mean square over models unbiased: n/(n − 1), and once more for n that are drawn with replacement. Pairs of
    one problem with itself are left out of `quality`.
    """
    m, n = shares.shape
    luck = (shares * (1 - shares) * samples / (samples - 1)) @ models / n  # (m, B)
    spread = ((shares**2) @ models / n - (shares @ models / n) ** 2) * scale  # (m, B)
    within = (problems * luck).sum(0) / m
    between = (problems * (spread - luck / samples)).sum(0) / m
    totals = shares.T @ problems  # (n, B)
    variance = ((totals**2 * models).sum(0) / n - ((totals * models).sum(0) / n) ** 2) * scale  # (B,)
    pairs = m**2 - (problems**2).sum(0)
    quality = (variance - (problems**2 * spread).sum(0)) / np.maximum(pairs, 1)
    return np.stack([within, between, quality])
