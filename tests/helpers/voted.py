"""Small databases by their votes, counted by either view: the ballot and the verdict of every draw."""

import random
from pathlib import Path

from esprobe.arms import Arm
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Facts, Score
from esprobe.tasks.countdown.task import Countdown

VIEWS = ("vote_at_k", "vote_at_k_by_expression")
Vote = tuple[str | None, bool]  # (ballot, correct)
Drawn = dict[int, dict[int, Vote]]  # problem → draw → vote
R, W, V, N = ("98", True), ("1", False), ("2", False), (None, False)


def fill(path: Path, arms: list[Drawn], view: str = VIEWS[0]) -> None:
    """A database with these votes, counted by `view`; by the other ballot all vote alike."""
    task, store = Countdown(), Store(path)
    problems = [task.problem({"numbers": [1, i], "target": i}) for i in range(1 + max(max(arm) for arm in arms))]
    store.add_problems([(problem, Facts(None, None, None)) for problem in problems])
    ids = store.problem_ids(problems)
    run_id = store.start_run("test", {}, {})
    for number, arm in enumerate(arms):
        arm_id = store.arm_id(Arm("m", "d", "temperature", float(number)))
        rows = [
            RolloutRow(draw, ids[problem], "", 1, "stop", verdict(view, ballot, right))
            for problem, drawn in arm.items()
            for draw, (ballot, right) in drawn.items()
        ]
        store.save(arm_id, run_id, "countdown", rows)
    store.close()


def verdict(view: str, ballot: str | None, right: bool) -> Score:
    other = ballot and "alike"
    value, expression = (ballot, other) if view == VIEWS[0] else (other, ballot)
    return Score(right, "", ballot, value, float(right), expression)


def some(rng: random.Random) -> Drawn:
    """Problems of unequal depth; draws may be missing, may not vote, and two right answers may differ."""
    ballots: list[Vote] = [
        (None, False),
        ("98", True),
        ("98", True),
        ("97.99999", True),
        ("1", False),
        ("2", False),
        ("1/3", False),
    ]
    able = rng.sample(ballots, rng.randint(1, len(ballots)))
    arm = {}
    for problem in range(rng.randint(1, 4)):
        first, n = rng.choice([0, 0, 7]), rng.randint(1, 21)
        draws = range(first, first + n) if rng.random() < 0.6 else sorted(rng.sample(range(50), n))
        arm[problem] = {draw: rng.choice(able) for draw in draws}
    return arm
