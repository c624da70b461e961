"""Takes in rollouts made elsewhere, as an arm of their own. Knows the file's form, a task's problems and the store."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esprobe import __version__
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

    The whole file is checked before any rollout is written; the same file again adds nothing. Raises UserError naming the line.
    """
    task = all_tasks()[0]
    rollouts = _read(task, path)
    digest = hashlib.sha256(f"imported:{model}".encode()).hexdigest()[:32]
    arm = Arm(model, digest, method, value, {"task": task.name, "imported": label})
    store = Store(db)
    try:
        problems = list({problem.digest: problem for _, problem, _ in rollouts.values()}.values())
        store.add_problems([(problem, task.facts(problem)) for problem in store.unknown_problems(problems)])
        ids = dict(zip((p.digest for p in problems), store.problem_ids(problems), strict=True))
        arm_id = store.arm_id(arm)
        known = store.texts(arm_id)
        scorer = task.scorers[task.default_scorer]
        rows = []
        for (draw, problem_digest), (where, problem, text) in rollouts.items():
            old = known.get((draw, ids[problem_digest]))
            if old is not None and old != text:
                raise UserError(f"{where}: draw {draw} of this problem is there already with another text; use another --label")
            if old is None:
                rows.append(RolloutRow(draw, ids[problem_digest], text, None, "imported", scorer(problem.payload, text)))
        if rows:
            run_id = store.start_run(command, {"esprobe": __version__}, {})
            with store.ending(run_id):
                for start in range(0, len(rows), BATCH):
                    store.save(arm_id, run_id, task.default_scorer, rows[start : start + BATCH])
        return Imported(len(rollouts), len(rows))
    finally:
        store.close()


def _read(task: Task, path: Path) -> dict[tuple[int, str], tuple[str, Problem, str]]:
    """(draw, problem digest) → (place in the file, problem, text)."""
    found: dict[tuple[int, str], tuple[str, Problem, str]] = {}
    for where, record in read_records(path):
        problem = task_problem(task, record, where)
        draw, text = record.get("draw"), record.get("text")
        if type(draw) is not int or not 0 <= draw <= MAX_DRAW:
            raise UserError(f'{where}: "draw" must be a whole number from 0, not {_short(draw)}')
        if not isinstance(text, str):
            raise UserError(f'{where}: "text" must be the generated text, not {_short(text)}')
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UserError(f'{where}: "text" holds half a surrogate pair, which is not text') from None
        key = (draw, problem.digest)
        if key in found and found[key][2] != text:
            raise UserError(f"{where}: draw {draw} of this problem stands twice in the file, with different texts")
        found[key] = (where, problem, text)
    return found


def _short(value: Any) -> str:
    return repr(value)[:40]
