"""The coverage of the 95% intervals, and how often tests reject equal arms, by simulation on 128 problems: before and now.

`python -m tests.benchmarks.coverage` prints four tables. Before is the rule of earlier versions, kept below to compare with: no
lower bound on the variance, m − 1 degrees of freedom, McNemar's test, halves of the problems alone. Now is what
esprobe computes; `tests/stats/test_intervals.py` and `tests/stats/test_halves.py` assert its bands with fewer simulations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from esprobe.stats.halves import compare_held, mixture, quarters, split
from esprobe.stats.intervals import Interval, SharedDraws, paired_test, share_interval, weight
from esprobe.stats.paired import mcnemar
from esprobe.stats.quality import spread
from esprobe.stats.resampling import Floats, estimates
from esprobe.stats.student import t_quantile, two_sided_p

PROBLEMS, ROUNDS, SEED = 128, 400, 7
Scenario = tuple[float, ...]
Verdicts = NDArray[np.bool_]  # (rounds, problems, draws)

# Beta(a, b) of the problems' solve rates, and ks: near 0, sparse, most hard, U-shaped, middling, and 98 to 99.8% at k < n
TEMPERATURE: list[tuple[Scenario, tuple[int, ...]]] = [
    ((0.02, 10.0), (1, 8, 64)),
    ((0.05, 5.0), (1, 8, 64)),
    ((0.3, 20.0), (1, 8, 64)),
    ((0.5, 0.5), (1, 8, 64)),
    ((2.0, 5.0), (1, 8, 28, 48)),
    ((20.0, 0.3), (1, 8)),
    ((5.0, 0.1), (1,)),
    ((3.0, 0.3), (4, 7)),
    ((30.0, 0.06), (1,)),
]
# mean and spread of the problems' ease, spread of the perturbed models' quality; each verdict's own noise is 1
PERTURBATION: list[Scenario] = [
    (-4.0, 1.5, 0.3),
    (-2.5, 1.0, 1.0),
    (-1.0, 1.0, 0.3),
    (0.0, 1.0, 1.0),
    (-1.0, 1.0, 2.0),
    (-6.0, 1.5, 2.0),
]
MODELS = (1, 2, 4, 8, 16, 64)
EQUAL: list[Scenario] = [(-4.0, 1.5, 0.3), (-1.0, 1.0, 0.3), (-1.0, 1.0, 0.6), (0.0, 1.0, 1.0), (-2.5, 1.0, 1.0)]


def verdicts(scenario: Scenario, rounds: int, draws: int, rng: np.random.Generator) -> Verdicts:
    """(rounds, problems, draws); of two numbers a scenario is of independent draws, of three of models that problems share."""
    shape = (rounds, PROBLEMS, draws)
    if len(scenario) == 2:
        return rng.random(shape, dtype=np.float32) < rng.beta(*scenario, (rounds, PROBLEMS, 1))
    mean, width, shared = scenario
    return perturbed(rng.normal(mean, width, (rounds, PROBLEMS, 1)), shared, draws, rng)


def perturbed(ease: Floats, shared: float, draws: int, rng: np.random.Generator) -> Verdicts:
    """Verdicts of models whose quality varies by `shared`, on problems of this ease, (rounds, problems, 1)."""
    rounds, problems, _ = ease.shape
    noise = rng.standard_normal((rounds, problems, draws), dtype=np.float32)
    return ease + rng.normal(0, shared, (rounds, 1, draws)) + noise > 0


def truth(scenario: Scenario, k: int) -> float:
    """pass@k over all problems and draws that there could be: the mean of 1 − (1 − p)^k over p."""
    if len(scenario) == 2:
        rates = np.random.default_rng(0).beta(*scenario, 2_000_000)
    else:
        mean, width, shared = scenario
        normal = NormalDist()
        steps = ((np.arange(5000) + 0.5) / 5000).tolist()
        rates = np.array([normal.cdf((mean + width * normal.inv_cdf(u)) / sqrt(shared**2 + 1)) for u in steps])
    return float((1 - (1 - rates) ** k).mean())


def pass_at(cells: Verdicts, k: int) -> Floats:
    """pass@k of each problem: (rounds, problems)."""
    return estimates(np.full((1, 1), cells.shape[2]), cells.sum(2), k)


def shared_parts(cells: Verdicts, k: int) -> list[SharedDraws]:
    """`intervals.shared_draws` of each round at once (a test compares them)."""
    _, m, n = cells.shape
    c = cells.sum(2)
    worth = np.array([weight(n, count, k) for count in range(n + 1)])[c]  # (rounds, m)
    sums = np.einsum("rm,rmn->rn", worth, cells.astype(np.float64))
    expected = (worth * c / n).sum(1, keepdims=True)
    scale = (n - 1) / n / m**2
    gross = ((sums - expected) ** 2).sum(1) * scale
    own = (worth**2 * c * (1 - c / n)).sum(1) * scale
    solved = cells.sum(1)
    pairs = (solved * (solved - 1)).sum(1)
    total = solved.sum(1) ** 2
    effective = [int(t) / int(p) if p else inf for t, p in zip(total, pairs, strict=True)]
    return [SharedDraws(k, n, max(0.0, g - o), g, e) for g, o, e in zip(gross.tolist(), own.tolist(), effective, strict=True)]


def interval_before(mean: float, variance: float) -> tuple[float, float]:
    """Wilson's interval with m − 1 degrees of freedom, and the variance as it comes."""
    t, part = t_quantile(PROBLEMS - 1), max(0.0, mean * (1 - mean))
    effective = part / variance if variance > 0 and part > 0 else float(PROBLEMS)
    middle = (mean + t * t / (2 * effective)) / (1 + t * t / effective)
    half = t / (1 + t * t / effective) * sqrt(part / effective + t * t / (4 * effective * effective))
    return min(mean, middle - half), max(mean, middle + half)


@dataclass(frozen=True)
class Covered:
    """Of one scenario: the true pass@k, how often intervals hold it, and of how many intervals it is said that they may not."""

    scenario: str
    draws: int
    k: int
    truth: float
    before: float
    now: float | None  # None: there is no interval
    doubted: float
    trusted: float | None  # how often the others hold it


def covered(scenario: Scenario, draws: int, ks: Sequence[int], rounds: int = ROUNDS) -> Iterator[Covered]:
    """Simulates the scenario `rounds` times."""
    cells = verdicts(scenario, rounds, draws, np.random.default_rng(SEED))
    models = len(scenario) == 3
    for k in ks:
        known = truth(scenario, k)
        each = pass_at(cells, k)
        means, variances = each.mean(1).tolist(), (each.var(1, ddof=1) / PROBLEMS).tolist()
        shared = shared_parts(cells, k) if models else [None] * rounds
        before, held, trusted = 0, [], []
        for mean, variance, part in zip(means, variances, shared, strict=True):
            low, high = interval_before(mean, variance + (part.net if part else 0.0))
            before += low <= known <= high
            interval = share_interval(mean, variance, PROBLEMS, part)
            if interval is not None:
                held.append(_holds(interval, known))
                trusted += [held[-1]] if interval.trustworthy else []
        name = "ease {:g} ± {:g}, models {:g}".format(*scenario) if models else "beta({:g}, {:g})".format(*scenario)
        doubted = 1 - len(trusted) / len(held) if held else 1.0
        yield Covered(name, draws, k, known, before / rounds, _share(held), doubted, _share(trusted))


def _holds(interval: Interval, known: float) -> bool:
    return interval.low <= known <= interval.high


def _share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


@dataclass(frozen=True)
class Size:
    """How often a test at 5% finds a difference between a temperature arm and a perturbation arm of equal true pass@k."""

    scenario: str
    models: int
    k: int
    mcnemar: float  # before, of the problems solved in all draws
    before: float  # before, the interval of the difference
    now: float | None
    trusted: float | None  # where no doubt is said


def sizes(scenario: Scenario, models: int, k: int, rounds: int = ROUNDS) -> Size:
    """Both arms have one draw for each model, and equal true solve rates of every problem."""
    rng = np.random.default_rng(SEED)
    mean, width, shared = scenario
    ease = rng.normal(mean, width, (rounds, PROBLEMS, 1))
    first = perturbed(ease, shared, models, rng)
    # the same solve rate with a noise of each draw's own in place of the models'
    second = ease + rng.normal(0, sqrt(shared**2 + 1), (rounds, PROBLEMS, models)) > 0
    differences = pass_at(first, k) - pass_at(second, k)
    old = old_p = 0
    found, trusted = [], []
    for each, part, a, b in zip(differences, shared_parts(first, k), first.any(2), second.any(2), strict=True):
        variance = float(each.var(ddof=1)) / PROBLEMS + part.net
        t = float(each.mean()) / sqrt(variance) if variance > 0 else 0.0
        old += two_sided_p(t, PROBLEMS - 1) < 0.05
        old_p += mcnemar(int((a & ~b).sum()), int((b & ~a).sum())) < 0.05
        tested = paired_test(each.tolist(), [part])
        if tested.p is not None and tested.interval is not None:
            found.append(tested.p < 0.05)
            trusted += [found[-1]] if tested.interval.trustworthy else []
    name = "ease {:g} ± {:g}, models {:g}".format(*scenario)
    return Size(name, models, k, old_p / rounds, old / rounds, _share(found), _share(trusted))


def split_before(first: Floats, second: Floats, splits: int, rng: np.random.Generator) -> float:
    """The difference of the arms that are best on one half of the problems, on the other half; pass@k: (arms, problems)."""
    inside = np.zeros((PROBLEMS, splits))
    inside[: PROBLEMS // 2] = 1
    chosen = rng.permuted(inside, axis=0)
    chosen = np.concatenate([chosen, 1 - chosen], axis=1)
    held = [((1 - chosen).T @ kind.T / (PROBLEMS / 2), (chosen.T @ kind.T).argmax(1)) for kind in (first, second)]
    a, b = (table[np.arange(2 * splits), best] for table, best in held)
    return float((a - b).mean())


@dataclass(frozen=True)
class Curse:
    """The best of several equal perturbation arms against one temperature arm of equal truth: bias in shares of 1.

    `flattered`: compared on everything that it was chosen on; `before`: on the other half of the problems, with the same
    models; `now`: with the other half of the models too; `holds`: how often now's 95% interval contains 0.
    """

    arms: int
    flattered: float
    before: float
    now: float
    holds: float


def curse(arms: int = 6, draws: int = 64, rounds: int = 300, splits: int = 40) -> Curse:
    """On (−2.5, 1, 1); every bias is less the arms' mean difference, which is as often above as below 0, to need fewer rounds."""
    rng = np.random.default_rng(SEED)
    mean, width, shared = (-2.5, 1.0, 1.0)
    k = draws // 2
    bias, holds = np.zeros(3), 0
    for i in range(rounds):
        ease = rng.normal(mean, width, (1, PROBLEMS, 1))
        several = [perturbed(ease, shared, draws, rng)[0].astype(np.float64) for _ in range(arms)]
        alone = (ease + rng.normal(0, sqrt(shared**2 + 1), (1, PROBLEMS, draws)) > 0)[0].astype(np.float64)
        one, many = pass_at(alone[None] > 0, k), pass_at(np.array(several) > 0, k)
        means = many.mean(1) - one.mean()
        halves = split(PROBLEMS, draws, splits, i)
        tables = [quarters(cells, halves, k) for cells in several], [quarters(alone, halves, k)]
        held = compare_held(*tables, (int(means.argmax()), 0))
        difference = held.first - held.second
        bias += np.array([means.max(), split_before(many, one, splits, rng), difference]) - means.mean()
        mixed = mixture(several, held.first_shares, k, [1] * len(several))
        tested = paired_test((mixed.each - one[0]).tolist(), [mixed.shared] if mixed.shared else [], difference)
        holds += tested.interval is not None and _holds(tested.interval, 0.0)
    flattered, before, now = (bias / rounds).tolist()
    return Curse(arms, flattered, before, now, holds / rounds)


def luck(models: int, scenario: Scenario, rounds: int = ROUNDS) -> float | None:
    """How often Cochran's p finds that models differ which are all the same, at 5%."""
    cells = verdicts(scenario, rounds, models, np.random.default_rng(SEED))
    found = [spread(a.tolist(), c.tolist()) for a, c in zip(cells.sum(1), cells.sum(2), strict=True)]
    return _share([one.p < 0.05 for one in found if one is not None and one.p is not None])


def coverage_table(rounds: int = ROUNDS) -> list[Covered]:
    """Prints the first table."""
    print(f"coverage of 95% intervals, {PROBLEMS} problems, {rounds} simulations per row")
    print(f"{'scenario':30}{'n':>4}{'k':>4}{'truth':>9}{'before':>9}{'now':>9}{'doubt is said':>15}{'trusted':>9}")
    cases = [(scenario, 64, ks) for scenario, ks in TEMPERATURE]
    cases += [(scenario, n, tuple(sorted({1, max(1, n // 2)}))) for scenario in PERTURBATION for n in MODELS]
    rows = []
    for scenario, n, ks in cases:
        for r in covered(scenario, n, ks, rounds):
            now, trusted = ("none" if share is None else f"{share:.1%}" for share in (r.now, r.trusted))
            print(f"{r.scenario:30}{n:4}{r.k:4}{r.truth:9.2%}{r.before:9.1%}{now:>9}{r.doubted:15.0%}{trusted:>9}", flush=True)
            rows.append(r)
    return rows


def size_table(rounds: int = ROUNDS) -> list[Size]:
    """Prints the second table."""
    print("\nequal arms found different at 5%, temperature against perturbation")
    print(f"{'scenario':30}{'models':>8}{'k':>4}{'McNemar, before':>17}{'interval, before':>18}{'p, now':>9}{'trusted':>9}")
    rows = []
    for scenario in EQUAL:
        for models in (64, 8, 2):
            for k in (1, models):
                r = sizes(scenario, models, k, rounds)
                now, trusted = ("none" if share is None else f"{share:.1%}" for share in (r.now, r.trusted))
                print(f"{r.scenario:30}{models:8}{k:4}{r.mcnemar:17.1%}{r.before:18.1%}{now:>9}{trusted:>9}", flush=True)
                rows.append(r)
    return rows


def main(rounds: int = ROUNDS) -> None:
    """Prints the four tables."""
    coverage_table(rounds)
    size_table(rounds)
    print("\nbias of the best of equal arms in points, and how often its interval contains 0")
    print(f"{'arms':>4}{'same problems and models':>26}{'other problems (before)':>25}{'and models (now)':>18}{'with 0':>9}")
    for arms in (3, 6):
        r = curse(arms)
        print(f"{arms:4}{100 * r.flattered:+26.2f}{100 * r.before:+25.2f}{100 * r.now:+18.2f}{r.holds:9.1%}", flush=True)
    print("\nequal models found different at 5%, by Cochran's Q")
    for models in (8, 64, 200):
        shares = [luck(models, scenario, rounds) for scenario in ((0.5, 2.0), (2.0, 2.0), (0.3, 20.0))]
        print(f"{models:4} models: " + ", ".join("none" if share is None else f"{share:.1%}" for share in shares), flush=True)


if __name__ == "__main__":
    main()
