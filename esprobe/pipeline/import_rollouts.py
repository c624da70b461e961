"""Imports rollouts made elsewhere, as one arm. Knows the file's format, a task's problems and the store."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from esprobe.arms import Arm
from esprobe.errors import UserError
from esprobe.methods import IMPORTED, MethodName, named
from esprobe.pipeline.judge import judge
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Problem, Score, Task, is_utf8, lacking, short
from esprobe.tasks.records import read_records, task_problem
from esprobe.tasks.registry import DEFAULT, task_named
from esprobe.version import __version__

MAX_DRAW = 10**9
_Key = tuple[int, str]  # draw, problem digest
_Read = tuple[str, Problem, str]  # place in the file, problem, text


@dataclass(frozen=True)
class Imported:
    """The number of rollouts in the file, and of those that were new."""

    read: int
    new: int


def import_rollouts(
    path: Path, db: Path, command: str, model: str, label: str, method: MethodName, value: float | None
) -> Imported:
    """Reads JSON Lines of problem, `draw` and `text` into the arm (model, method, value, label) and scores them.

    All is one transaction: stored rollouts are compared under the write lock, so that of two simultaneous imports the second sees
    the first. The same file again adds nothing. Raises UserError naming the line; then nothing is written.
    """
    _check_arm(model, label, method, value)
    task = task_named(DEFAULT)
    rollouts = _read(task, path)
    digest = hashlib.sha256(f"{IMPORTED.name}:{model}".encode()).hexdigest()[:32]
    arm = Arm(model, digest, method, value, {"task": task.name, IMPORTED.name: label})
    problems = list({problem.digest: problem for _, problem, _ in rollouts.values()}.values())
    answers = ((problem.payload, text) for _, problem, text in rollouts.values())
    scores = dict(zip(rollouts, judge(task.scorers[task.default_scorer], answers), strict=True))
    store = Store(db)
    try:
        facts = [(problem, task.facts(problem)) for problem in store.unknown_problems(problems)]
        with store.at_once():
            store.add_problems(facts)
            ids = dict(zip((p.digest for p in problems), store.problem_ids(problems), strict=True))
            arm_id = store.arm_id(arm)
            rows = _new_rows(rollouts, scores, ids, store.texts(arm_id, [draw for draw, _ in rollouts]))
            if not rows:
                return Imported(len(rollouts), 0)
            run_id = store.start_run(command, {"esprobe": __version__}, {})
            new = store.save(arm_id, run_id, task.default_scorer, rows)
            store.end_run(run_id, "done")
        return Imported(len(rollouts), new)
    finally:
        store.close()


def _check_arm(model: str, label: str, method: MethodName, value: float | None) -> None:
    for option, text in (("--model", model), ("--label", label)):
        if not is_utf8(text):
            raise UserError(f"{option} {text!r} is not UTF-8 text; name it otherwise")
    if not model.strip():
        raise UserError("--model is empty; name the model that the rollouts came from")
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise UserError(f"--value must be a T or σ of 0 or above, not {value:g}")
    if value is not None and not named(method).valued:
        raise UserError(f"{named(method).noun} has no --value; leave it out")


def _new_rows(
    rollouts: Mapping[_Key, _Read], scores: Mapping[_Key, Score], ids: Mapping[str, int], known: Mapping[tuple[int, int], str]
) -> list[RolloutRow]:
    """The rollouts that `known` ((draw, problem id) → text) lacks. Raises UserError where it has another text."""
    rows = []
    for (draw, digest), (where, _, text) in rollouts.items():
        there = known.get((draw, ids[digest]))
        if there is None:
            rows.append(RolloutRow(draw, ids[digest], text, None, IMPORTED.name, scores[draw, digest]))
        elif there != text:
            raise UserError(f"{where}: draw {draw} of this problem is already stored with another text; use another --label")
    return rows


def _read(task: Task, path: Path) -> dict[_Key, _Read]:
    found: dict[_Key, _Read] = {}
    for where, record in read_records(path):
        problem = task_problem(task, record, where)
        if line := lacking(record, "draw") or lacking(record, "text"):
            raise UserError(f"{where}: {line}")
        draw, text = record["draw"], record["text"]
        if type(draw) is not int or not 0 <= draw <= MAX_DRAW:
            raise UserError(f'{where}: "draw" must be a whole number from 0 to {MAX_DRAW:,}, not {short(draw)}')
        if not isinstance(text, str):
            raise UserError(f'{where}: "text" must be the generated text, not {short(text)}')
        if not is_utf8(text):
            raise UserError(f'{where}: "text" contains half a surrogate pair, which is not text')
        key = (draw, problem.digest)
        if key in found and found[key][2] != text:
            raise UserError(f"{where}: draw {draw} of this problem occurs twice in the file, with different texts")
        found[key] = (where, problem, text)
    return found
