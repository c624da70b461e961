"""Makes small results databases with the real store, without a model."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from esprobe.arms import Arm, perturbation_seed
from esprobe.pipeline.meter import Quiet
from esprobe.pipeline.rescore import rescore
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Facts, Score
from esprobe.tasks.countdown.task import Countdown

HOSTILE = (
    '</script><script>window.hacked = 1; alert(1)</script><img src=x onerror="window.hacked = 2; alert(2)">'
    "<!--<script>\u2028\u202e]]></textarea><svg onload=alert(3)> & &lt;b&gt; ${alert(4)} {{ 7 * 7 }}\n<answer> 1 + 1 </answer>"
)

Told = Callable[[int, int], str]  # (draw, problem) → text
Voted = Callable[[int, bool], tuple[str, str]]  # (draw, whether it is correct) → ballot, expression


def told(draw: int, problem: int) -> str:
    return f"draw {draw} of problem {problem}\n<answer> {draw} + {problem} </answer>"


def by_two_ways(draw: int, right: bool) -> tuple[str, str]:
    """Correct answers share their value but not their expression; wrong ones share both."""
    return ("100", f"{draw} + {100 - draw}") if right else ("99", "99 + 0")


def honest(path: Path) -> Path:
    """The database with the verdicts and facts that its texts and problems have, as a merge wants them."""
    rescore(path, "countdown", True, Quiet())
    return path


def make(
    path: Path,
    arms: Sequence[tuple[str, float | None, Mapping[int, str]]],
    text: Told = told,
    answer: str | None = None,
    facts: Sequence[Facts] = (),
    voted: Voted | None = None,
) -> Path:
    """Arms as (method, value, {problem: verdicts}); verdicts "+-" is a correct draw 0 and a wrong draw 1.

    Without `voted` an answer is its ballot, and there are no expressions.
    """
    task, store = Countdown(), Store(path)
    count = 1 + max(problem for _, _, verdicts in arms for problem in verdicts)
    problems = [task.problem({"numbers": [i + 1, 40 + i, 7], "target": str(100 + i)}) for i in range(count)]
    known = [facts[i] if i < len(facts) else Facts(True, f"{i + 1} + 7", 1 / (8 + i)) for i in range(count)]
    store.add_problems(list(zip(problems, known, strict=True)))
    ids = store.problem_ids(problems)
    run_id = store.start_run("test", {}, {})
    for method, value, verdicts in arms:
        settings = {"seed": 42, "noise": "iid", "seeds": "53 bits"} if method == "perturbation" else {}
        arm_id = store.arm_id(Arm("m", "d", method, value, settings))  # type: ignore[arg-type]
        rows = []
        for problem, drawn in verdicts.items():
            for draw, verdict in enumerate(drawn):
                said = answer if answer is not None else f"{draw} + {problem}"
                right = verdict == "+"
                ballot, expression = voted(draw, right) if voted else (said, None)
                score = Score(right, "correct" if right else "wrong_value", said, ballot, float(right), expression)
                rows.append(RolloutRow(draw, ids[problem], text(draw, problem), 9, "stop", score))
        draws = max(len(drawn) for drawn in verdicts.values())
        seeds = {draw: perturbation_seed("iid", 42, draw) for draw in range(draws)} if method == "perturbation" else None
        store.save(arm_id, run_id, "countdown", rows, seeds)
    store.end_run(run_id, "done")
    store.close()
    return path
