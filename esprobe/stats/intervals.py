"""How uncertain a mean pass@k and a paired difference are: 95% intervals, p, and what perturbed models add that problems share.

Knows counts and means, no database and no layout. Plain Python, so that `esprobe report` starts at once. The constants were
chosen by simulation: `python -m tests.benchmarks.coverage`.

Bowyer et al. 2025, "Position: Don't Use the CLT in LLM Evals With Fewer Than a Few Hundred Datapoints", arXiv 2503.01747.
Cameron, Gelbach & Miller 2011, "Robust Inference with Multi-Way Clustering". Kish 1965, "Survey Sampling".
Miller 2024, "Adding Error Bars to Evals: A Statistical Approach to Language Model Evaluations", arXiv 2411.00640.
Satterthwaite 1946, "An Approximate Distribution of Estimates of Variance Components".
Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, sqrt

from esprobe.stats.estimator import pass_at_k
from esprobe.stats.student import t_quantile, two_sided_p

SURE = 16  # from so many models on, the cells' own part of their variance can be subtracted
FEW = 8  # so few perturbed models, or differing problems, cannot show how much they vary
RARE = 5  # expected problems below which the variance between problems is taken to be at least binomial
_ROUNDING = 1e-12  # a variance of so small a share of the mean comes from rounding: all are equal


@dataclass(frozen=True)
class Cell:
    """One problem in one arm: n draws of which c are correct."""

    n: int
    c: int


# Draw, by its place among the arm's draws → (n, c, how many) of the problems that it solves.
ByDraw = Mapping[int, Sequence[tuple[int, int, int]]]


@dataclass(frozen=True)
class Interval:
    """A 95% interval. `doubt`: why it is not trustworthy, in a few words for a note; empty where it is."""

    low: float
    high: float
    doubt: str = ""

    @property
    def trustworthy(self) -> bool:
        """Whether simulations found its coverage to be about 95%."""
        return not self.doubt

    def __iter__(self) -> Iterator[float]:
        """The two ends."""
        yield self.low
        yield self.high


@dataclass(frozen=True)
class SharedDraws:
    """What perturbed models, each shared by all problems, add at one k to the squared standard error over problems.

    `gross` is the delete-one jackknife over models, `net` is it less the part that is each cell's own, which the variance over
    problems has already, never below 0. `effective`: (Σa)² / Σa(a − 1) over the models' correct counts a, the number of equally
    good models that would vary as much; infinite where no model solves two problems.
    """

    k: int
    models: int
    net: float
    gross: float
    effective: float

    @property
    def careful(self) -> float:
        """What a test adds: net, but gross for few models, whose net variance is mostly noise, and often 0."""
        return self.net if self.models >= SURE else self.gross


def share_interval(mean: float, variance: float | None, size: int, shared: SharedDraws | None = None) -> Interval | None:
    """The 95% interval of a mean of `size` shares, each in 0 … 1, whose squared standard error over problems is `variance`.

    Wilson's interval (1927) at the effective sample size mean·(1 − mean) / variance, with the quantile of Student's t. It stays
    inside 0 … 1, is skewed near the ends, and where every share is 0 (or 1) still allows about 4/size, where mean ± 1.96 standard
    errors would claim certainty (Bowyer et al. 2025). Where fewer than RARE problems are expected on one side of the mean,
    the variance is taken to be at least mean·(1 − mean)/size: so few problems cannot show how much they vary.
    `shared` adds the variance of models, and takes Satterthwaite's degrees of freedom (1946). None for a single model, which
    says nothing about how much models vary. A single problem leaves 0 … 1.
    """
    if shared is not None and shared.models < 2:
        return None
    if size < 2 or variance is None:
        return Interval(0.0, 1.0, "1 problem")
    spread = max(0.0, mean * (1 - mean))
    if size * min(mean, 1 - mean) < RARE:
        variance = max(variance, spread / size)
    freedom = float(size - 1)
    doubt = ""
    if shared is not None:
        freedom = satterthwaite(variance, size, shared)
        doubt = doubt_of(shared)
        variance += shared.net
    t = t_quantile(freedom)
    if spread == 0:  # all or nothing, which one model less may change
        half = max(t * t / (size + t * t), t * sqrt(variance))
        return Interval(max(0.0, mean - half), min(1.0, mean + half), doubt)
    effective = spread / variance if variance > _ROUNDING * spread else float(size)
    middle = (mean + t * t / (2 * effective)) / (1 + t * t / effective)
    half = t / (1 + t * t / effective) * sqrt(spread / effective + t * t / (4 * effective * effective))
    return Interval(max(0.0, min(mean, middle - half)), min(1.0, max(mean, middle + half)), doubt)


def satterthwaite(variance: float, size: int, shared: SharedDraws) -> float:
    """Degrees of freedom of V_p + V_d, problems and models: (V_p + V_d)² / (V_p²/(m − 1) + V_g²/(n − 1)), from 1 to m − 1.

    V_g is V_d before the cells' own part is subtracted: that is what n models estimate, and the subtraction makes it no surer.
    Where that part is small this is Satterthwaite's formula (1946) of V_p and V_d.
    """
    weight = variance**2 / (size - 1) + shared.gross**2 / (shared.models - 1)
    if weight <= 0:
        return float(size - 1)
    return min(float(size - 1), max(1.0, (variance + shared.net) ** 2 / weight))


def doubt_of(shared: SharedDraws) -> str:
    """Why an interval that rests on these models is not trustworthy; empty where it is.

    It depends on the spread of the models only where that is extreme: arms that happen to spread little are no surer.
    """
    n = shared.models
    if n < (FEW if 2 * shared.k <= n else 2 * FEW):
        return f"few models ({n})"
    return "a few models do most of the solving" if shared.effective < n / 4 else ""


@dataclass(frozen=True)
class PairedTest:
    """A mean difference with its 95% interval and the two-sided p of no difference; both None where they cannot be known."""

    difference: float
    interval: Interval | None
    p: float | None


def paired_test(each: Sequence[float], shared: Sequence[SharedDraws] = (), estimate: float | None = None) -> PairedTest:
    """The mean of paired differences, one per problem and each between −1 and 1: Student's t (Miller 2024, paired errors).

    The variance is that over problems plus that of the models of either arm (`shared`). Interval and p use the same variance
    and degrees of freedom: one less than the problems or, where an arm has models, than the fewest models, the lower bound of
    Satterthwaite's, with which eight models would reject too often. None for a single model; a single problem leaves −1 … 1.
    `estimate`: another estimate of the mean, about as sure, in its place.
    """
    size = len(each)
    mean = sum(each) / size if estimate is None else estimate
    if any(part.models < 2 for part in shared):
        return PairedTest(mean, None, None)
    over_problems = variance_over_problems(each)
    if over_problems is None:
        return PairedTest(mean, Interval(-1.0, 1.0, "1 problem"), None)
    over_problems = max(over_problems, least_variance(each))
    variance = over_problems + sum(part.careful for part in shared)
    freedom = min([size - 1, *(part.models - 1 for part in shared)])
    doubt = next(filter(None, map(doubt_of, shared)), "")
    half = t_quantile(freedom) * sqrt(variance)
    interval = Interval(max(-1.0, mean - half), min(1.0, mean + half), doubt)
    return PairedTest(mean, interval, two_sided_p(mean / sqrt(variance), freedom))


def few_differ(each: Sequence[float]) -> bool:
    """Whether almost all of a mean difference comes from a few problems, or almost every problem differs fully.

    The effective number of problems that differ, (Σ|d|)²/Σd² (Kish 1965), is below FEW, or m − Σ|d| below RARE.
    """
    differing = sum(map(abs, each))
    squares = sum(d * d for d in each)
    return differing**2 < FEW * squares or squares == 0 or len(each) - differing < RARE


def least_variance(each: Sequence[float]) -> float:
    """What the variance of a mean difference is at least, where too few problems differ to show how much they vary.

    As in `share_interval`: (Σ|d|/m − mean²)/m, that of differences of −1, 0 and 1, and as much as leaves t²/(m + t²) on either
    side, as a share interval does where all shares are equal; so does a difference that is the same on all problems.
    """
    size = len(each)
    mean = sum(each) / size
    few = few_differ(each)
    if not few and max(each) - min(each) > _ROUNDING:
        return 0.0
    t = t_quantile(size - 1)
    return max((sum(map(abs, each)) / size - mean * mean) / size if few else 0.0, (t / (size + t * t)) ** 2)


def variance_over_problems(each: Sequence[float]) -> float | None:
    """Squared standard error of the mean over problems, Σ(x − mean)² / (m·(m − 1)); None for a single problem."""
    size = len(each)
    if size < 2:
        return None
    mean = sum(each) / size
    return sum((x - mean) ** 2 for x in each) / (size * (size - 1))


@cache
def weight(n: int, c: int, k: int) -> float:
    """What one of c correct draws is worth: pass@k of (n − 1, c) less that of (n − 1, c − 1); k = n is taken as n − 1."""
    if c == 0 or n < 2:
        return 0.0
    k = min(k, n - 1)
    return pass_at_k(n - 1, min(c, n - 1), k) - pass_at_k(n - 1, c - 1, k)


def by_draw(cells: Iterable[Cell], correct: Iterable[Iterable[int]]) -> ByDraw:
    """What each draw solves; `correct`: in step with the problems, the places of the draws that solve each."""
    counts: dict[int, Counter[tuple[int, int]]] = {}
    for cell, draws in zip(cells, correct, strict=True):
        for draw in draws:
            counts.setdefault(draw, Counter())[cell.n, cell.c] += 1
    return {draw: [(n, c, count) for (n, c), count in solved.items()] for draw, solved in counts.items()}


def shared_draws(cells: Sequence[Cell], correct: ByDraw, k: int, samples: int = 1) -> SharedDraws:
    """What draws shared by all problems add to the variance over problems.

    Jackknife less the cells' own part is the two-way clustered variance (Cameron, Gelbach & Miller 2011; Miller 2024 for
    evaluations). `correct`: see `by_draw`. Problems of fewer than k draws are left out; a problem of n draws is taken to have
    draws 0 … n − 1.

    So many consecutive draws as `samples` are of one model, and are left out together; the cells' own part is then still that of
    draws which are independent, so that the variance is rather too large.
    """
    used = [cell for cell in cells if cell.n >= k]
    draws = max((cell.n for cell in used), default=0)
    models = -(-draws // samples)
    solved, sums, mean_sums = [0.0] * models, [0.0] * models, [0.0] * models
    for draw, found in correct.items():
        if draw < draws:
            for n, c, count in found:
                if n >= k:
                    solved[draw // samples] += count / samples
                    sums[draw // samples] += weight(n, c, k) * count
    pairs = sum(max(0.0, a * (a - 1)) for a in solved)
    effective = sum(solved) ** 2 / pairs if pairs else inf
    if models < 2:
        return SharedDraws(k=k, models=models, net=0.0, gross=0.0, effective=effective)
    expected, own = _by_chance(used, draws, k)
    for draw, part in enumerate(expected):
        mean_sums[draw // samples] += part
    scale = (models - 1) / models * ((draws - 1) / (draws - samples)) ** 2 / len(used) ** 2
    gross = sum((s - e) ** 2 for s, e in zip(sums, mean_sums, strict=True)) * scale
    return SharedDraws(k=k, models=models, net=max(0.0, gross - own * scale), gross=gross, effective=effective)


def _by_chance(cells: Sequence[Cell], draws: int, k: int) -> tuple[list[float], float]:
    """(each draw's expected sum of weights, the sum's variance) if each problem's correct draws were any of its draws."""
    own = 0.0
    lengths: dict[int, float] = {}
    for cell in cells:
        w = weight(cell.n, cell.c, k)
        rate = cell.c / cell.n
        lengths[cell.n] = lengths.get(cell.n, 0.0) + w * rate
        own += w * w * cell.c * (1 - rate)
    expected = [0.0] * draws
    for n, part in lengths.items():
        for draw in range(n):
            expected[draw] += part
    return expected, own
