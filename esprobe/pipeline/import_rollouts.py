"""Imports rollouts made elsewhere, as one arm. Knows the file's format, a task's problems and the store."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esprobe.arms import Arm, called
from esprobe.errors import UserError
from esprobe.methods import IMPORTED, MethodName, named
from esprobe.pipeline.foreign import FileFormat, read_rollouts
from esprobe.pipeline.judge import judge
from esprobe.store.store import RolloutRow, Store
from esprobe.tasks.base import Problem, Score, Task, is_utf8, lacking, short
from esprobe.tasks.records import task_problem
from esprobe.tasks.registry import DEFAULT, task_named
from esprobe.version import __version__

MAX_DRAW = MAX_TOKENS = 10**9
_Key = tuple[int, str]  # draw, problem digest
ENDINGS = ("stop", "length", "nan", IMPORTED.name)  # why a generation ended; the last where it is not known


@dataclass(frozen=True)
class Told:
    """A rollout as the file tells it; `where` is its place there."""

    where: str
    problem: Problem
    text: str
    tokens: int | None
    prompt_tokens: int | None
    finish: str


@dataclass(frozen=True)
class Imported:
    """The number of rollouts in the file, and of those that were new."""

    read: int
    new: int


@dataclass(frozen=True)
class Source:
    """What rollouts are of: the arm that they make, and how the file is to be read."""

    model: str
    label: str = ""
    method: MethodName = IMPORTED.name
    value: float | None = None
    task: str = DEFAULT
    form: FileFormat = "auto"

    def arm(self) -> Arm:
        """The arm. Raises UserError for what no arm can have."""
        for option, text in (("--model", self.model), ("--label", self.label)):
            if not is_utf8(text):
                raise UserError(f"{option} {text!r} is not UTF-8 text; name it otherwise")
        if not self.model.strip():
            raise UserError("--model is empty; name the model that the rollouts came from")
        if self.value is not None and not (math.isfinite(self.value) and self.value >= 0):
            raise UserError(f"--value must be a T or σ of 0 or above, not {self.value:g}")
        if self.value is not None and not named(self.method).valued:
            raise UserError(f"{named(self.method).noun} has no --value; leave it out")
        digest = hashlib.sha256(f"{IMPORTED.name}:{self.model}".encode()).hexdigest()[:32]
        return Arm(called(self.model), digest, self.method, self.value, {"task": self.task, IMPORTED.name: self.label})


def import_rollouts(path: Path, db: Path, command: str, source: Source) -> Imported:
    """Reads records of a problem, `draw`, `text` and what is known of its tokens into the source's arm and scores them.

    All is one transaction: stored rollouts are compared under the write lock, so that of two simultaneous imports the second sees
    the first. The same file again adds nothing. Raises UserError naming the line; then nothing is written.
    """
    arm, task = source.arm(), task_named(source.task)
    rollouts = _read(task, path, source.form)
    problems = list({told.problem.digest: told.problem for told in rollouts.values()}.values())
    answers = ((told.problem.payload, told.text) for told in rollouts.values())
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


def _new_rows(
    rollouts: Mapping[_Key, Told], scores: Mapping[_Key, Score], ids: Mapping[str, int], known: Mapping[tuple[int, int], str]
) -> list[RolloutRow]:
    """The rollouts that `known` ((draw, problem id) → text) lacks. Raises UserError where it has another text."""
    rows = []
    for (draw, digest), told in rollouts.items():
        there = known.get((draw, ids[digest]))
        if there is None:
            score = scores[draw, digest]
            rows.append(RolloutRow(draw, ids[digest], told.text, told.tokens, told.finish, score, told.prompt_tokens))
        elif there != told.text:
            raise UserError(f"{told.where}: draw {draw} of this problem is already stored with another text; use another --label")
    return rows


def _read(task: Task, path: Path, form: FileFormat) -> dict[_Key, Told]:
    found: dict[_Key, Told] = {}
    for where, record in read_rollouts(path, form):
        told = Told(where, task_problem(task, record, where), **_generation(record, where))
        key = (_draw(record, where), told.problem.digest)
        if key in found and found[key].text != told.text:
            raise UserError(f"{where}: draw {key[0]} of this problem occurs twice in the file, with different texts")
        found[key] = told
    return found


def _draw(record: Mapping[str, Any], where: str) -> int:
    if line := lacking(record, "draw"):
        raise UserError(f"{where}: {line}")
    draw = record["draw"]
    if type(draw) is not int or not 0 <= draw <= MAX_DRAW:
        raise UserError(f'{where}: "draw" must be a whole number from 0 to {MAX_DRAW:,}, not {short(draw)}')
    return draw


def _generation(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`text`, and `tokens`, `prompt_tokens` and `finish` where they are given."""
    if line := lacking(record, "text"):
        raise UserError(f"{where}: {line}")
    text, finish = record["text"], record.get("finish", IMPORTED.name)
    if not isinstance(text, str):
        raise UserError(f'{where}: "text" must be the generated text, not {short(text)}')
    if not is_utf8(text):
        raise UserError(f'{where}: "text" contains half a surrogate pair, which is not text')
    if finish not in ENDINGS:
        raise UserError(f'{where}: "finish" must be one of {", ".join(ENDINGS)}, not {short(finish)}')
    counts = {name: record.get(name) for name in ("tokens", "prompt_tokens")}
    for name, count in counts.items():
        if count is not None and (type(count) is not int or not 0 <= count <= MAX_TOKENS):
            raise UserError(f'{where}: "{name}" must be a whole number from 0 to {MAX_TOKENS:,}, not {short(count)}')
    return {"text": text, "finish": finish, **counts}
