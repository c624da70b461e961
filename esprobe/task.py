"""What a task is, and the list of tasks. Countdown is the first; another is one more module and one more line here.

Nothing outside a task's own module knows what its payloads hold. A task knows no model, backend or database.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from esprobe.errors import UserError
from esprobe.scoring import Scorer

Payload = Mapping[str, Any]
MAX_BYTES = 1 << 30  # of a file of records, which is read as a whole


@dataclass(frozen=True)
class Problem:
    """One instance of a task. `payload` is plain JSON; `given_solution` is what the data file claims, unproven."""

    task: str
    payload: Payload
    given_solution: str | None = None

    @property
    def canonical(self) -> str:
        """The payload as canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def digest(self) -> str:
        """Identifies the problem by its content: SHA-256 of task and payload, 32 hex digits."""
        return hashlib.sha256(f"{self.task}\n{self.canonical}".encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Facts:
    """What is known of a problem before any model sees it; None where it is not known.

    `solvable` with a `solution` is proven by it, False is proven by enumeration. `chance` is the probability that a
    uniformly random valid answer is correct, `outcomes` how many distinct values valid answers have. `stratum` names the
    problems that are alike in size.
    """

    solvable: bool | None
    solution: str | None
    chance: float | None
    stratum: str | None = None
    outcomes: int | None = None


class Task(Protocol):
    """One kind of problem: how to load it, ask it, score an answer and know the probability of guessing."""

    name: str
    prefill: str  # the start of the response, put into the model's mouth
    default_scorer: str  # bears the task's name: the facts of problems are proven under its rule alone
    scorers: Mapping[str, Scorer]

    def problem(self, record: Any) -> Problem:
        """Reads one problem from a JSON record in the user's words. Raises UserError."""
        ...

    def bundled(self) -> list[Problem]:
        """The problems that ship with the package."""
        ...

    def messages(self, payload: Payload) -> list[dict[str, str]]:
        """The chat messages (role, content) that pose the problem."""
        ...

    def prompt_digest(self) -> str:
        """Identifies the prompt's wording: another wording is another arm."""
        ...

    def facts(self, problem: Problem) -> Facts:
        """Proves what can be proven about the problem; may take a while for large ones."""
        ...

    def source(self) -> str:
        """One line for error messages: where the published problems are to be had."""
        ...


def all_tasks() -> list[Task]:
    """Every task there is, the default one first."""
    from esprobe.countdown.task import Countdown

    return [Countdown()]


def scorer_named(name: str) -> tuple[Task, Scorer]:
    """The scorer of that name with the task it judges. Raises UserError."""
    for task in all_tasks():
        if name in task.scorers:
            return task, task.scorers[name]
    known = ", ".join(scorer for task in all_tasks() for scorer in task.scorers)
    raise UserError(f"there is no scorer {name!r}; known scorers: {known}")


def load_problems(task: Task, path: Path | None, offset: int = 0, limit: int | None = None) -> list[Problem]:
    """Problems `offset` to `offset + limit` of a data file, or of the task's bundled set where `path` is None.

    A file is a JSON array or JSON Lines. A problem that stands in the selection twice is taken once.
    Raises UserError for a missing, broken or empty selection, naming the record.
    """
    if path is not None and not os.path.lexists(path):
        raise UserError(f"{path}: no such file; {task.source()}")
    problems = task.bundled() if path is None else [task_problem(task, r, where) for where, r in read_records(path)]
    chosen = problems[offset:] if limit is None else problems[offset : offset + limit]
    if not chosen:
        raise UserError(f"no problems selected: there are {len(problems)}, and --offset is {offset}; lower --offset")
    return list({p.digest: p for p in chosen}.values())


def task_problem(task: Task, record: Any, where: str) -> Problem:
    """`task.problem` with the record's place in the error message."""
    try:
        return task.problem(record)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def lacking(record: Mapping[str, Any], *names: str) -> str | None:
    """What to say of a record that has none of these keys, with the keys that it has; None where it has one."""
    if any(name in record for name in names):
        return None
    there = ", ".join(str(key)[:40] for key in list(record)[:20]) + (", …" if len(record) > 20 else "")
    wanted = " or ".join(f'"{name}"' for name in names)
    return f"there is no {wanted}; the record has {there or 'no keys at all'}"


def _cause(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def read_records(path: Path) -> list[tuple[str, Any]]:
    """(place, record) for each record of a JSON array or JSON Lines file. Raises UserError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UserError(f"{path}: has more than {MAX_BYTES >> 20:,} MiB; cut it into several files")
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({_cause(error)})") from None
    records: list[tuple[str, Any]] = []
    try:
        if text.lstrip().startswith("["):
            records = [(f"{path}: record {i}", record) for i, record in enumerate(json.loads(text))]
            text = ""
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); it should be a JSON array or one JSON object a line") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}: line {number}"
            try:
                records.append((where, json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise UserError(f"{where}: not valid JSON ({error})") from None
    if not records:
        raise UserError(f"{path}: the file holds no records")
    return records
