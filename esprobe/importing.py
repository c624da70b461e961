"""Takes in rollouts made elsewhere, as an arm of their own. Knows the file's form, a task's problems and the store."""

import hashlib
import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esprobe import __version__, schema
from esprobe.arms import Arm, Method
from esprobe.errors import UserError
from esprobe.store import RolloutRow, Store
from esprobe.task import Problem, Task, all_tasks, read_records, task_problem

MAX_DRAW = 10**9
BATCH = 10_000  # rollouts a transaction


@dataclass(frozen=True)
class Imported:
    """How many rollouts the file holds, and how many of them were new."""

    read: int
    new: int


def import_rollouts(path: Path, db: Path, command: str, model: str, label: str, method: Method, value: float | None) -> Imported:
    """Reads JSON Lines of problem, `draw` and `text` into the arm (model, method, value, label) and scores them.

    Everything is checked before anything is written; the same file again adds nothing. Raises UserError naming the line.
    """
    _check_arm(model, label, method, value)
    task = all_tasks()[0]
    rollouts = _read(task, path)
    digest = hashlib.sha256(f"imported:{model}".encode()).hexdigest()[:32]
    arm = Arm(model, digest, method, value, {"task": task.name, "imported": label})
    store = Store(db)
    try:
        known = _texts(db, arm.digest)
        for (draw, problem_digest), (where, _, text) in rollouts.items():
            if known.get((draw, problem_digest), text) != text:
                raise UserError(f"{where}: draw {draw} of this problem is there already with another text; use another --label")
        problems = list({problem.digest: problem for _, problem, _ in rollouts.values()}.values())
        store.add_problems([(problem, task.facts(problem)) for problem in store.unknown_problems(problems)])
        ids = dict(zip((p.digest for p in problems), store.problem_ids(problems), strict=True))
        arm_id = store.arm_id(arm)
        scorer = task.scorers[task.default_scorer]
        rows = []
        for (draw, problem_digest), (_, problem, text) in rollouts.items():
            if (draw, problem_digest) not in known:
                rows.append(RolloutRow(draw, ids[problem_digest], text, None, "imported", scorer(problem.payload, text)))
        if rows:
            run_id = store.start_run(command, {"esprobe": __version__}, {})
            with store.ending(run_id):
                for start in range(0, len(rows), BATCH):
                    store.save(arm_id, run_id, task.default_scorer, rows[start : start + BATCH])
        return Imported(len(rollouts), len(rows))
    finally:
        store.close()


def _check_arm(model: str, label: str, method: Method, value: float | None) -> None:
    for option, text in (("--model", model), ("--label", label)):
        if not _is_text(text):
            raise UserError(f"{option} {text!r} is not UTF-8 text; name it otherwise")
    if not model.strip():
        raise UserError("--model is empty; name the model that the rollouts came from")
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise UserError(f"--value must be a T or σ of 0 or above, not {value:g}")
    if value is not None and method == "greedy":
        raise UserError("greedy decoding has no --value; leave it out")


def _texts(db: Path, arm_digest: str) -> dict[tuple[int, str], str]:
    """(draw, problem digest) → text of every rollout that the arm has, if there is such an arm."""
    with closing(schema.open_readonly(db)) as connection:
        rows = connection.execute(
            "SELECT rollout.draw, problem.digest, rollout.text FROM rollout JOIN arm ON arm.id = arm_id "
            "JOIN problem ON problem.id = problem_id WHERE arm.digest = ?",
            [arm_digest],
        )
        return {(draw, problem): text for draw, problem, text in rows}


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(task: Task, path: Path) -> dict[tuple[int, str], tuple[str, Problem, str]]:
    """(draw, problem digest) → (place in the file, problem, text)."""
    found: dict[tuple[int, str], tuple[str, Problem, str]] = {}
    for where, record in read_records(path):
        problem = task_problem(task, record, where)
        draw, text = record.get("draw"), record.get("text")
        if type(draw) is not int or not 0 <= draw <= MAX_DRAW:
            raise UserError(f'{where}: "draw" must be a whole number from 0 to {MAX_DRAW:,}, not {_short(draw)}')
        if not isinstance(text, str):
            raise UserError(f'{where}: "text" must be the generated text, not {_short(text)}')
        if not _is_text(text):
            raise UserError(f'{where}: "text" holds half a surrogate pair, which is not text')
        key = (draw, problem.digest)
        if key in found and found[key][2] != text:
            raise UserError(f"{where}: draw {draw} of this problem stands twice in the file, with different texts")
        found[key] = (where, problem, text)
    return found


def _short(value: Any) -> str:
    try:
        return repr(value)[:40]
    except (ValueError, RecursionError):  # more digits or a deeper nesting than Python writes out
        return type(value).__name__
