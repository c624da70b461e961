"""Small databases whose draws are right at random: an arm is a rate and a number of draws."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from esprobe.arms import Arm
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Facts, Score
from esprobe.tasks.countdown.task import Countdown

WRONG = Score(False, "wrong_value", "1", "1", 0.0)
RIGHT = Score(True, "correct", "2", "2", 1.0)
TASK = Countdown()


@dataclass(frozen=True)
class Made:
    """An arm to make: `rate` is the probability of a correct draw on an easy problem; harder ones have less."""

    method: str
    value: float | None
    draws: int
    rate: float = 0.3
    model: str = "countdown-tiny"
    settings: tuple[tuple[str, object], ...] = ()
    problems: range | None = None


def make(path: Path, arms: Sequence[Made], problems: int = 40, kinds: int = 0, chance: float | None = 0.03) -> Path:
    """A database of such arms; every 20th problem but the first is impossible. `kinds`: of how many kinds problems are known.

    `chance` is that of the others.
    """
    rng, store = random.Random(1), Store(path)
    asked = [TASK.problem({"numbers": [3, i + 1], "target": str(i)}) for i in range(problems)]
    solvable = [i % 20 != 19 for i in range(problems)]
    strata = [f"{2 + i % kinds} numbers" if kinds else None for i in range(problems)]
    facts = [Facts(s, None, None if chance is None else chance * s, stratum) for s, stratum in zip(solvable, strata, strict=True)]
    store.add_problems(list(zip(asked, facts, strict=True)))
    ids = store.problem_ids(asked)
    run_id = store.start_run("made by a test", {}, {})
    for arm in arms:
        rows = []
        for i in arm.problems or range(problems):
            p = arm.rate * solvable[i] * (1 - (i / problems) ** 0.5) * 1.6
            rows += [RolloutRow(d, ids[i], "x", 5, "stop", RIGHT if rng.random() < p else WRONG) for d in range(arm.draws)]
        arm_id = store.arm_id(Arm(arm.model, arm.model, arm.method, arm.value, dict(arm.settings)))  # type: ignore[arg-type]
        store.save(arm_id, run_id, "countdown", rows)
    store.close()
    return path


GREEDY = Made("greedy", None, 1, 0.4)
TEMPERATURES = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
SIGMAS = [0.0005, 0.001, 0.003, 0.005, 0.01]
TWELVE = [Made("temperature", t, 64, 0.3 - 0.4 * (t - 0.5) ** 2) for t in TEMPERATURES] + [
    Made("perturbation", s, 64, 0.3 / (1 + (s / 0.002) ** 2)) for s in SIGMAS
]
