"""The coverage of vote@k's 95% intervals, by simulation on 128 problems: `python -m tests.benchmarks.vote_coverage`.

Verdicts are those of `coverage`; a wrong draw votes for one of WRONG wrong answers. `tests/stats/test_vote.py` asserts the bands
with fewer simulations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from esprobe.stats.intervals import FEW, share_interval, variance_over_problems
from esprobe.stats.vote import block_shares, shared_blocks
from tests.benchmarks.coverage import Scenario, verdicts

WRONG, RIGHT, SEED = 4, frozenset({"right"}), 11
DRAWS, TRUTH = 64, 60  # draws of each problem; rounds that the true vote@k is estimated from
OWN: list[Scenario] = [(0.05, 5.0), (0.5, 0.5), (2.0, 5.0), (20.0, 0.3)]
MODELS: list[Scenario] = [(-2.5, 1.0, 1.0), (-1.0, 1.0, 0.3), (-1.0, 1.0, 2.0), (0.0, 1.0, 1.0)]


@dataclass(frozen=True)
class Covered:
    """How often the interval at k held the true vote@k, and how many blocks of draws there were."""

    scenario: Scenario
    k: int
    blocks: int
    truth: float
    holds: float


def votes(scenario: Scenario, rounds: int, k: int, rng: np.random.Generator) -> Iterator[list[list[float]]]:
    """For each round, each problem's share of each block."""
    right = verdicts(scenario, rounds, DRAWS, rng)
    wrong = rng.integers(0, WRONG, right.shape)
    for verdict, other in zip(right, wrong, strict=True):
        ballots = np.where(verdict, "right", other.astype(str)).tolist()
        yield [block_shares(row, RIGHT, k) for row in ballots]


def covered(scenario: Scenario, k: int, rounds: int) -> Covered:
    """By simulation; of two numbers a scenario is of independent draws, of three of models that problems share."""
    rng = np.random.default_rng(SEED)
    truth = float(np.mean([np.mean(shares) for shares in votes(scenario, TRUTH, k, rng)]))
    hits = []
    for shares in votes(scenario, rounds, k, rng):
        each = [sum(blocks) / len(blocks) for blocks in shares]
        shared = shared_blocks(shares) if len(scenario) == 3 else None
        interval = share_interval(sum(each) / len(each), variance_over_problems(each), len(each), shared)
        assert interval is not None
        hits.append(interval.low <= truth <= interval.high)
    return Covered(scenario, k, DRAWS // k, truth, sum(hits) / len(hits))


def table(rounds: int = 400, own: Sequence[int] = (1, 8, 64), models: Sequence[int] = (1, 4, 8)) -> list[Covered]:
    """Every scenario; of models only those k with at least FEW blocks, below which an interval is marked as doubtful."""
    assert all(DRAWS // k >= FEW for k in models)
    rows = [
        covered(scenario, k, rounds) for scenarios, ks in ((OWN, own), (MODELS, models)) for scenario in scenarios for k in ks
    ]
    for row in rows:
        print(f"{row.scenario!s:20} k = {row.k:2}  {row.blocks:2} blocks  vote@k {row.truth:6.1%}  holds {row.holds:6.1%}")
    return rows


if __name__ == "__main__":
    table()
