"""How often the 95% intervals of pass@k hold the truth, by simulation: 128 problems, from pass@k near 0 to near 1.

Run it with `python -m tests.benchmarks.coverage`. `tests/test_intervals.py` asserts the band that the README names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

from esprobe.intervals import Cell, Z, share_interval, variance_over_problems, variance_over_shared_draws
from esprobe.resampling import Sampled, bootstrap, bootstrap_interval, estimates, resample_draws, resample_problems

PROBLEMS, ROUNDS, RESAMPLES = 128, 150, 200
DRAWS = 64

# a and b of the Beta distribution of the problems' solve rates: sparse, a few easy ones, most hard, U-shaped, middling, high
TEMPERATURE = [(0.02, 10.0), (0.05, 5.0), (0.3, 20.0), (0.5, 0.5), (2.0, 5.0), (20.0, 0.3)]
# mean and spread of the problems' ease, spread of the perturbed models' quality, which problems share; a cell's own noise is 1
PERTURBATION = [(-4.0, 1.5, 0.3), (-2.5, 1.0, 1.0), (-1.0, 1.0, 0.3), (0.0, 1.0, 1.0), (-1.0, 1.0, 2.0), (-6.0, 1.5, 2.0)]


@dataclass(frozen=True)
class Covered:
    """Of one scenario: the true pass@k and the share of intervals, of each kind, that hold it."""

    scenario: str
    k: int
    truth: float
    normal: float  # mean ± 1.96 standard errors over problems
    chosen: float  # what `esprobe report` prints
    bootstrap: float
    problems_only: float | None  # the chosen interval without the part of shared draws


def verdicts(scenario: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """(problems, draws) of 0 and 1."""
    shape = (PROBLEMS, DRAWS)
    if len(scenario) == 2:
        return (rng.random(shape) < rng.beta(*scenario, (PROBLEMS, 1))).astype(float)
    mean, spread, shared = scenario
    return (rng.normal(mean, spread, (PROBLEMS, 1)) + rng.normal(0, shared, (1, DRAWS)) + rng.normal(0, 1, shape) > 0) * 1.0


def truths(scenario: tuple[float, ...], ks: tuple[int, ...]) -> dict[int, float]:
    """By k: pass@k over all problems and draws that there could be, the mean of 1 − (1 − p)^k over p."""
    if len(scenario) == 2:
        rates = np.random.default_rng(0).beta(*scenario, 400_000)
    else:
        mean, spread, shared = scenario
        normal = NormalDist()
        steps = ((np.arange(5000) + 0.5) / 5000).tolist()
        rates = np.array([normal.cdf((mean + spread * normal.inv_cdf(u)) / sqrt(shared**2 + 1)) for u in steps])
    return {k: float((1 - (1 - rates) ** k).mean()) for k in ks}


def covered(scenario: tuple[float, ...], ks: tuple[int, ...] = (1, 8, DRAWS), rounds: int = ROUNDS) -> Iterator[Covered]:
    """Simulates the scenario `rounds` times."""
    rng = np.random.default_rng(7)
    shared = len(scenario) == 3
    known = truths(scenario, ks)
    hits = {k: np.zeros(4) for k in ks}
    for _ in range(rounds):
        cells = verdicts(scenario, rng)
        c = cells.sum(1).astype(np.int64)
        arm = Sampled(np.full(PROBLEMS, DRAWS), c, cells if shared else None)
        listed = [Cell(DRAWS, int(x)) for x in c]
        correct = {d: [(DRAWS, int(c[i]), 1) for i in np.flatnonzero(cells[:, d])] for d in range(DRAWS)} if shared else {}
        problems = resample_problems(PROBLEMS, RESAMPLES, rng)
        again = resample_draws(arm, RESAMPLES, rng)
        for k in ks:
            each = estimates(arm.n, arm.c, k)
            mean = float(each.mean())
            variance = variance_over_problems(each.tolist()) or 0.0
            drawn = variance_over_shared_draws(listed, correct, k) or 0.0 if shared else 0.0
            intervals = [
                (mean - Z * sqrt(variance), mean + Z * sqrt(variance)),
                share_interval(mean, variance + drawn, PROBLEMS),
                bootstrap_interval(bootstrap(again, problems, k), mean),
                share_interval(mean, variance, PROBLEMS),
            ]
            hits[k] += [low <= known[k] <= high for low, high in intervals]
    name = f"beta({scenario[0]:g}, {scenario[1]:g})" if not shared else "ease {:g} ± {:g}, shared {:g}".format(*scenario)
    for k in ks:
        normal, chosen, resampled, problems_only = (hits[k] / rounds).tolist()
        yield Covered(name, k, known[k], normal, chosen, resampled, problems_only if shared else None)


def main(rounds: int = 500) -> list[Covered]:
    """Prints the table."""
    print(f"{PROBLEMS} problems, {DRAWS} draws, {rounds} simulations a row; how often a 95% interval holds the truth")
    print(f"{'scenario':30}{'k':>4}{'truth':>9}{'± 1.96 SE':>11}{'chosen':>9}{'bootstrap':>11}{'without shared draws':>22}")
    rows = []
    for scenario in [*TEMPERATURE, *PERTURBATION]:
        for r in covered(scenario, rounds=rounds):
            without = "" if r.problems_only is None else f"{r.problems_only:22.1%}"
            print(f"{r.scenario:30}{r.k:4}{r.truth:9.2%}{r.normal:11.1%}{r.chosen:9.1%}{r.bootstrap:11.1%}{without}", flush=True)
            rows.append(r)
    return rows


if __name__ == "__main__":
    main()
