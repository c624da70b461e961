"""Small databases by their verdicts: of each arm and problem, how every draw was judged and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esprobe.arms import Arm
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Facts, Score
from esprobe.tasks.countdown.task import Countdown

RIGHT, WRONG = Score(True, "correct", "2", "2", 1.0), Score(False, "wrong_value", "1", "1", 0.0)
SILENT = Score(False, "no_answer", None, None, 0.0)
JUDGED, ENDED = {"+": RIGHT, "o": SILENT}, {"n": "nan", "l": "length"}
EASY = Facts(True, "1 + 7", 0.25, "3 numbers", 10)
HARD = Facts(True, "1 + 7", 0.01, "4 numbers", 500)
IMPOSSIBLE = Facts(False, None, 0.0, "3 numbers", 10)
UNKNOWN = Facts(None, None, None, "6 numbers", None)


@dataclass(frozen=True)
class Made:
    """An arm: of each problem the verdicts of its draws, `+` correct, `-` wrong, `o` no answer, `n` ended as nan, `l` cut off."""

    method: str
    value: float | None
    verdicts: Sequence[str]
    model: str = "m"
    settings: tuple[tuple[str, Any], ...] = ()


def make(path: Path, facts: Sequence[Facts], arms: Sequence[Made], scorer: str = "countdown") -> Path:
    task, store = Countdown(), Store(path)
    problems = [task.problem({"numbers": [i + 1, 40 + i, 7], "target": str(100 + i)}) for i in range(len(facts))]
    store.add_problems(list(zip(problems, facts, strict=True)))
    ids = store.problem_ids(problems)
    run_id = store.start_run("test", {}, {})
    for arm in arms:
        arm_id = store.arm_id(Arm(arm.model, arm.model, arm.method, arm.value, {"task": "countdown", **dict(arm.settings)}))  # type: ignore[arg-type]
        rows = [
            RolloutRow(draw, ids[i], "text", 3, ENDED.get(c, "stop"), JUDGED.get(c, WRONG))
            for i, drawn in enumerate(arm.verdicts)
            for draw, c in enumerate(drawn)
        ]
        draws = max(map(len, arm.verdicts))
        store.save(arm_id, run_id, scorer, rows, dict(enumerate(range(draws))) if arm.method == "perturbation" else None)
    store.end_run(run_id, "done")
    store.close()
    return path
