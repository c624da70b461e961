"""Databases to draw plots of, each made once: few arms and many, all solved and none, equal arms and uneven ones."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.rated import GREEDY, SIGMAS, TWELVE, Made, make

LONG = "Somebody/A-Model-With-A-Very-Long-Name-Of-The-Kind-That-People-Like-0.5B-Instruct-v2"
SETTINGS = [(("noise", "iid"), ("dtype", d), ("max_new_tokens", 1024)) for d in ("float16", "bfloat16")]

# name → (arms, problems)
CASES: dict[str, tuple[list[Made], int]] = {
    "one-temperature": ([Made("temperature", 0.6, 16)], 40),
    "one-perturbation": ([Made("perturbation", 0.01, 16)], 40),
    "greedy-only": ([GREEDY], 40),
    "two": ([Made("temperature", 0.6, 16), Made("perturbation", 0.001, 32, 0.2)], 40),
    "twelve": ([GREEDY, *TWELVE], 128),
    "all-zero": ([Made("greedy", None, 1, 0)] + [Made(m.method, m.value, 16, 0) for m in TWELVE[5:9]], 40),
    "one-problem": ([GREEDY, *TWELVE[3:9]], 1),
    "one-draw": ([GREEDY, Made("temperature", 0.6, 1), Made("perturbation", 0.01, 1)], 40),
    "all-right": ([Made("temperature", 0.6, 16, 99), Made("perturbation", 0.001, 16, 99)], 19),
    "low": ([GREEDY, Made("temperature", 0.6, 64, 0.002), *[Made("perturbation", s, 64, 0.002) for s in SIGMAS]], 128),
    "alike-and-long": (
        [
            Made(m, v, 16, 0.3, LONG, s)
            for m, v in [("greedy", None), ("temperature", 0.6), ("perturbation", 0.01)]
            for s in SETTINGS
        ],
        60,
    ),
    "uneven": (
        [
            GREEDY,
            Made("temperature", 0.6, 16, problems=range(20)),
            Made("temperature", 0.8, 100),
            Made("perturbation", 0.0, 10),
            Made("perturbation", 0.01, 50, problems=range(5, 40)),
            Made("imported", None, 20),
        ],
        40,
    ),
    "many": ([Made("temperature", 0.2 + 0.05 * i, 4) for i in range(30)] + [Made("perturbation", 0.01, 8)], 300),
}

Database = Callable[[str], Path]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """The database of a case; read it, do not change it."""

    @cache
    def made(case: str) -> Path:
        arms, problems = CASES[case]
        return make(tmp_path_factory.mktemp(case) / "r.db", arms, problems)

    return made
