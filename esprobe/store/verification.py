"""Whether what a database says of its rows follows from them: digests, facts of problems, seeds of draws, verdicts.

Each is computed again from what it is a function of, by the task, the scorer or the arm that esprobe itself would ask. Reads
only; asked before another database is merged. What is no function of the rows (texts, names, runs) cannot be checked; nor can
what this esprobe does not know (another version's task or scorer), and the merge says so.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from esprobe.arms import TRUNCATIONS, Arm, Update, recorded_seed, sigma_of, trained_digest
from esprobe.errors import UserError
from esprobe.methods import IMPORTED, TEMPERATURE, named
from esprobe.tasks.base import TIMEOUT, Facts, Problem, Score, Task
from esprobe.tasks.registry import DEFAULT, find_tasks

_BATCH = 5000  # verdicts read at a time
_REMEMBERED = 50_000  # verdicts on texts that may come again


class Verification:
    """Of the database that the connection knows as `name`. Its rows must be sound (see `soundness`)."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        """Looks only at which tasks there are."""
        self._connection, self._name = connection, name
        self._tasks = find_tasks(task for (task,) in self._rows("SELECT DISTINCT task FROM {}.problem ORDER BY task"))
        self._problems: dict[int, Problem] = {}

    def first_falsehood(self) -> str | None:
        """In a few words the first row that differs from what follows from it, and what follows; None if all agree.

        Not the facts of problems, see `facts`.
        """
        for found in (self._problem_digests(), self._models(), self._arms(), self._draws(), self._verdicts()):
            if (line := next(found, None)) is not None:
                return line
        return None

    def problems(self) -> list[Problem]:
        """Every problem."""
        return list(self._all_problems().values())

    def facts(self, wanted: Collection[str]) -> tuple[dict[str, Facts], str | None]:
        """Digest → facts, proven again, of every problem whose digest is `wanted`; and the first that its row contradicts.

        Where a row knows less it is no contradiction, nor where an older esprobe proved it (see `tables.Problem`). The facts of
        an unknown task are the row's own.
        """
        proven = {}
        for row_id, solvable, solution, chance, stratum, outcomes in self._rows(
            "SELECT id, solvable, solution, chance, stratum, outcomes FROM {}.problem"
        ):
            problem = self._problem(row_id)
            said = Facts(None if solvable is None else bool(solvable), solution, chance, stratum, outcomes)
            task = self._tasks.get(problem.task)
            if problem.digest not in wanted:
                continue
            proven[problem.digest] = said if task is None else task.facts(Problem(problem.task, problem.payload, solution))
            older = chance is not None and outcomes is None
            if not older and (wrong := _contradiction(said, proven[problem.digest])):
                return proven, f"table problem: problem {row_id} has {wrong}"
        return proven, None

    def disputed(self, digests: Collection[str]) -> str | None:
        """The first problem that is not what its digest says, or of these `digests` the first with facts that are false."""
        return next(self._problem_digests(), None) or self.facts(digests)[1]

    def unchecked(self) -> list[str]:
        """What this esprobe cannot check of it, a few words each."""
        found = []
        for task, count in self._rows("SELECT task, count(*) FROM {}.problem GROUP BY task ORDER BY task"):
            if task not in self._tasks:
                found.append(f"{count:,} problem{'' if count == 1 else 's'} of task {task}")
        known = {name for task in self._tasks.values() for name in task.scorers}
        for scorer, count in self._rows("SELECT scorer, count(*) FROM {}.score GROUP BY scorer ORDER BY scorer"):
            if scorer not in known:
                found.append(f"{count:,} verdict{'' if count == 1 else 's'} of scorer {scorer}")
        return found

    def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        return self._connection.execute(sql.format(self._name), values)

    def _problem(self, row_id: int) -> Problem:
        return self._all_problems()[row_id]

    def _all_problems(self) -> dict[int, Problem]:
        """Row id → problem."""
        if not self._problems:
            rows = self._rows("SELECT id, task, payload FROM {}.problem")
            self._problems = {i: Problem(task, json.loads(payload)) for i, task, payload in rows}
        return self._problems

    def _problem_digests(self) -> Iterator[str]:
        for row_id, digest in self._rows("SELECT id, digest FROM {}.problem"):
            if (right := self._problem(row_id).digest) != digest:
                yield f"table problem: problem {row_id} has digest {digest}, where task and payload give {right}"

    def _models(self) -> Iterator[str]:
        """Of trained models: what their parent's digest and their update give."""
        sql = (
            "SELECT model.name, model.digest, parent.digest, model.updates FROM {0}.model "
            "JOIN {0}.model AS parent ON parent.id = model.parent_id"
        )
        for name, digest, parent, updates in self._rows(sql):
            try:
                record = json.loads(updates)
                if "seeds" not in record and record["training"]["rollouts_spent"] >= 0:
                    continue  # a checkpoint that was trained elsewhere
                right = trained_digest(parent, [Update.of(record)])
            except (TypeError, ValueError, KeyError, UserError):
                yield f"table model: {name} has updates that are none"
                continue
            if digest != right:
                yield f"table model: {name} has digest {digest}, where its parent and its update give {right}"

    def _arms(self) -> Iterator[str]:
        sql = (
            "SELECT arm.id, arm.digest, arm.task, model.digest, method, value, settings "
            "FROM {0}.arm JOIN {0}.model ON model.id = model_id"
        )
        for row_id, digest, task, model, method, value, settings in self._rows(sql):
            arm = Arm("", model, method, value, json.loads(settings))
            if digest != arm.digest:
                yield f"table arm: arm {row_id} has digest {digest}, where model, method, value and settings give {arm.digest}"
            if task != (right := arm.settings.get("task", DEFAULT)):
                yield f"table arm: arm {row_id} has task {task}, where its settings give {right}"
            if wrong := _impossible(arm):
                yield f"table arm: arm {row_id} is {wrong}"

    def _draws(self) -> Iterator[str]:
        """Seed and σ of a perturbed model, where the arm's settings give them; any other draw has neither."""
        sql = (
            "SELECT arm_id, number, draw.seed, sigma, method, value, settings FROM {0}.draw JOIN {0}.arm ON arm.id = arm_id "
            "ORDER BY arm_id, number"
        )
        settings_of = lru_cache(maxsize=64)(json.loads)
        for arm_id, number, seed, sigma, method, value, settings in self._rows(sql):
            which = f"table draw: draw {number} of arm {arm_id} has"
            if not named(method).shares_draws:
                if seed is not None or sigma is not None:
                    yield f"{which} a seed or a σ, where its arm's method is {method}"
                continue
            right = recorded_seed(settings_of(settings), number)
            if right is not None and seed != right:
                yield f"{which} seed {seed}, where the arm's settings give {right}"
            asked = sigma_of(value, settings_of(settings), number)
            if sigma is not None and sigma != asked:
                yield f"{which} σ {sigma:g}, where its arm has {asked}"

    def _verdicts(self) -> Iterator[str]:
        """Of every known scorer."""
        for task in self._tasks.values():
            for name in task.scorers:
                yield from self._verdicts_of(task, name)

    def _verdicts_of(self, task: Task, name: str) -> Iterator[str]:
        scorer = task.scorers[name]

        @lru_cache(maxsize=_REMEMBERED)
        def again(problem_id: int, text: str) -> Score:
            return scorer(self._problem(problem_id).payload, text)

        rows = self._connection.execute(_SCORED.format(self._name), (name,))
        while batch := rows.fetchmany(_BATCH):
            for arm_id, draw, problem_id, text, correct, *rest in batch:
                said = (bool(correct), *rest)
                if (other := self._problem(problem_id).task) != task.name:
                    if other in self._tasks:
                        yield f"table score: {name} has scored problem {problem_id}, which is of task {other}"
                    continue
                right = again(problem_id, text)
                if TIMEOUT in (said[1], right.reason):  # how far a scorer gets depends on the machine
                    continue
                if said != right:
                    which = next(i for i, (a, b) in enumerate(zip(said, right, strict=True)) if a != b)
                    yield (
                        f"table score: draw {draw} of problem {problem_id} in arm {arm_id} has {Score._fields[which]} "
                        f"{_short(said[which])} by {name}, which says {_short(right[which])} of its text"
                    )


_SCORED = """
SELECT s.arm_id, s.draw, s.problem_id, r.text, s.correct, s.reason, s.answer, s.ballot, s.reward, s.expression
FROM {0}.score AS s
CROSS JOIN {0}.rollout AS r ON r.arm_id = s.arm_id AND r.draw = s.draw AND r.problem_id = s.problem_id
WHERE s.scorer = ?
ORDER BY s.arm_id, s.draw, s.problem_id
"""


def _impossible(arm: Arm) -> str | None:
    """Why no command makes an arm of this method with this value and these settings, in a few words; None if one does."""
    made = IMPORTED.name not in arm.settings
    if not named(arm.method).valued and arm.value is not None:
        return f"{arm.method} with the value {arm.value:g}"
    if made and arm.method != IMPORTED.name and named(arm.method).valued and arm.value is None and "sigmas" not in arm.settings:
        return f"of method {arm.method} without a value"
    truncated = arm.method != TEMPERATURE.name and any(name in arm.settings for name in TRUNCATIONS)
    if made and (truncated or arm.shares_draws != ("noise" in arm.settings)):
        return f"of method {arm.method} with the settings of another"
    low_rank, rank = arm.settings.get("noise") == "low-rank", arm.settings.get("rank")
    if made and (not (type(rank) is int and rank > 0) if low_rank else rank is not None):
        return f"one with noise {_short(arm.settings.get('noise'))} of rank {_short(rank)}"
    return _impossible_population(arm)


def _impossible_population(arm: Arm) -> str | None:
    """Why no command makes such perturbed models: a mix of σ, or several samples from each."""
    sigmas, samples, settings = arm.settings.get("sigmas"), arm.settings.get("samples"), arm.settings
    if sigmas is not None:
        numbers = isinstance(sigmas, list) and all(type(sigma) is float and sigma > 0 for sigma in sigmas)
        if not (numbers and len(sigmas) > 1 and arm.value is None and arm.shares_draws and type(settings.get("seed")) is int):
            return f"of method {arm.method} with the σ {_short(sigmas)} to draw from"
    if (samples is None) != (TEMPERATURE.name not in settings):
        return "one with samples or a temperature alone, which come together"
    if samples is not None:
        temperature = settings[TEMPERATURE.name]
        if type(samples) is not int or samples < 1 or type(temperature) is not float or not arm.shares_draws:
            return f"of method {arm.method} with {_short(samples)} samples at temperature {_short(temperature)}"
    return None


def _contradiction(said: Facts, proven: Facts) -> str | None:
    """The first fact that is said and not proven. A solution is proven by being one, and there may be several."""
    pairs: Mapping[str, tuple[Any, Any]] = {
        "solvable": (said.solvable, proven.solvable),
        "solution": (said.solution, proven.solution),
        "chance": (said.chance, proven.chance),
        "stratum": (said.stratum, proven.stratum),
        "outcomes": (said.outcomes, proven.outcomes),
    }
    for name, (value, right) in pairs.items():
        if value is not None and value != right:
            return f"{name} {_short(value)}, where its task proves {_short(right)}"
    return None


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
