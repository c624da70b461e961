"""The results database: writes problems, arms, draws, rollouts, scores and runs, and says what is already there.

Knows tables, not models, backends or how a table is shown. What a method writes is one transaction.
"""

import json
import platform
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from esprobe import arms
from esprobe.errors import UserError
from esprobe.methods import PERTURBATION
from esprobe.store import schema, tables
from esprobe.store.connection import DatabaseFile, make_engine, reading
from esprobe.store.faults import DAMAGED, FULL, damaged, disk_full, reason, unwritable
from esprobe.store.trust import check_triggers
from esprobe.tasks.base import Facts, Problem, Score

CHECKPOINT_SHARE = 0.02  # of the time, at most, goes into copying the log into the file
CHECKPOINT_EVERY_S = 60.0  # unless that would be less often than this
DEFAULT_TASK = "countdown"  # of an arm whose settings name none


@dataclass(frozen=True)
class RolloutRow:
    """One finished rollout of an arm with its verdict, ready to be written. Tokens: generated ones, and those of the prompt."""

    draw: int
    problem_id: int
    text: str
    tokens: int | None
    finish: str
    score: Score
    prompt_tokens: int | None = None


@dataclass(frozen=True)
class StoredRollout:
    """What a scorer needs of a rollout, and its natural key."""

    id: int
    arm_id: int
    problem_id: int
    draw: int
    payload: Mapping[str, Any]
    text: str


class Store:
    """An open results database; see the module's docstring."""

    def __init__(self, path: Path) -> None:
        """Opens `path`, creating or upgrading it. Raises UserError if it is not a database of ours or cannot be written."""
        self.path = path
        self.file = DatabaseFile(path)
        self._here = threading.local()  # `connection`: of the transaction that `at_once` has open in this thread
        self._copy_at = 0.0  # when the log is to be copied into the file, by time.monotonic()
        self._last_arm: int | None = None
        try:
            if schema.inspect(path) != "current":
                schema.migrate(path)
            self.engine: Engine = make_engine(path, self.file)
            with self.engine.begin() as connection:  # an unwritable file shows now, before any work is done
                check_triggers(connection.connection.driver_connection, path)
        except (DBAPIError, OSError, sqlite3.Error) as error:
            raise UserError(unwritable(path, error)) from None

    def close(self) -> None:
        """Closes every connection."""
        self.checkpoint()  # SQLite does it only where no other process has the file open
        self.engine.dispose()

    def checkpoint(self) -> None:
        """Copies the log into the file, as far as no reader is in the way: a copy of the file alone then holds nearly everything.

        A failure does not concern the work: the log keeps what it has, and where the disk is full the next write says so.
        """
        begun = time.monotonic()
        with suppress(sqlite3.Error, DBAPIError, UserError), closing(self.engine.raw_connection()) as pooled:
            pooled.driver_connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # type: ignore[union-attr]
        now = time.monotonic()
        self._copy_at = now + min(CHECKPOINT_EVERY_S, (now - begun) / CHECKPOINT_SHARE)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """For work whose rows another thread writes: after Ctrl-C inside, that thread stops waiting for other processes."""
        try:
            yield
        except KeyboardInterrupt:
            self.file.hurry()
            raise

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What this thread does with the store inside is one transaction under the write lock: all of it happens, or nothing."""
        if hasattr(self._here, "connection"):
            yield
            return
        with self._transaction() as connection:
            self._here.connection = connection
            try:
                yield
            finally:
                del self._here.connection

    @contextmanager
    def _transaction(self, engine: Engine | None = None) -> Iterator[Connection]:
        if (outer := getattr(self._here, "connection", None)) is not None:
            yield outer
            return
        try:
            with (engine or self.engine).begin() as connection:
                yield connection
        except DBAPIError as error:
            if disk_full(error, self.path):
                raise UserError(f"{self.path}: {FULL}") from error
            if damaged(error):
                raise UserError(f"{self.path}: {DAMAGED}") from error
            raise UserError(f"{self.path}: {reason(error)}; what was written before is kept") from error

    def _reading(self) -> AbstractContextManager[Connection]:
        return self._transaction(reading(self.engine))

    def unknown_problems(self, problems: Sequence[Problem]) -> list[Problem]:
        """Those of `problems` that the database does not hold yet, or with the facts of an older esprobe."""
        with self._reading() as connection:
            known = set(connection.exec_driver_sql(f"SELECT digest FROM problem WHERE NOT ({_OLDER_FACTS})").scalars())
        return [p for p in problems if p.digest not in known]

    def older_problems(self, task: str) -> list[Problem]:
        """The task's problems whose facts an older esprobe proved, so that some are missing."""
        with self._reading() as connection:
            sql = f"SELECT payload FROM problem WHERE task = ? AND {_OLDER_FACTS}"
            return [Problem(task, json.loads(payload)) for payload in connection.exec_driver_sql(sql, (task,)).scalars()]

    def known_problems(self, problems: Sequence[Problem]) -> dict[str, int]:
        """Digest → row of those of `problems` that are there."""
        with self._reading() as connection:
            ids = connection.execute(select(_column(tables.Problem, "digest"), _column(tables.Problem, "id"))).all()
        wanted = {problem.digest for problem in problems}
        return {digest: i for digest, i in ids if digest in wanted}

    def add_problems(self, found: Sequence[tuple[Problem, Facts]]) -> None:
        """Adds problems with what is known of them; of those already there, it completes the facts of an older esprobe."""
        rows = [
            {"digest": problem.digest, "task": problem.task, "payload": dict(problem.payload), **asdict(facts)}
            for problem, facts in found
        ]
        if rows:
            with self.at_once(), self._transaction() as connection:
                self.complete_facts(found)
                connection.execute(_insert_new(tables.Problem), rows)

    def complete_facts(self, found: Sequence[tuple[Problem, Facts]]) -> None:
        """Replaces the facts of an older esprobe by today's; adds no problem and changes no other."""
        known = [(*astuple(facts), problem.digest) for problem, facts in found]
        if known:
            with self._transaction() as connection:
                connection.exec_driver_sql(_COMPLETE_FACTS, known)

    def problem_ids(self, problems: Sequence[Problem]) -> list[int]:
        """The rows of `problems`, which must have been added, in order."""
        with self._reading() as connection:
            ids: dict[str, int] = dict(
                connection.execute(select(_column(tables.Problem, "digest"), _column(tables.Problem, "id"))).all()
            )
        return [ids[p.digest] for p in problems]

    def arm_id(self, arm: arms.Arm) -> int:
        """The row of the arm, added with its model if it is new."""
        with self._transaction() as connection:
            connection.execute(_insert_new(tables.Model), [{"digest": arm.model_digest, "name": arm.model}])
            model_id = connection.scalar(_id_of(tables.Model, arm.model_digest))
            row = {
                "digest": arm.digest,
                "model_id": model_id,
                "task": arm.settings.get("task", DEFAULT_TASK),
                "method": arm.method,
                "value": arm.value,
                "settings": dict(arm.settings),
            }
            connection.execute(_insert_new(tables.Arm), [row])
            return int(connection.scalar(_id_of(tables.Arm, arm.digest)) or 0)

    def find_arm(self, digest: str) -> int | None:
        """The row of an arm, if it is there."""
        with self._reading() as connection:
            found: int | None = connection.scalar(_id_of(tables.Arm, digest))
            return found

    def counts(self, arm_id: int, draws: int) -> dict[int, int]:
        """Problem id → how many rollouts the arm has of its draws 0 … `draws` − 1."""
        sql = "SELECT problem_id, count(*) FROM rollout WHERE arm_id = ? AND draw < ? GROUP BY problem_id"
        with self._reading() as connection:
            return dict(map(tuple, connection.exec_driver_sql(sql, (arm_id, draws))))

    def done(self, arm_id: int, draws: range | None = None) -> set[tuple[int, int]]:
        """(draw, problem id) of every rollout that the arm has, or has of a stretch of draws."""
        rollout = _table(tables.Rollout)
        found = select(rollout.c.draw, rollout.c.problem_id).where(rollout.c.arm_id == arm_id)
        if draws is not None:
            found = found.where(rollout.c.draw >= draws.start, rollout.c.draw < draws.stop)
        with self._reading() as connection:
            return {(draw, problem_id) for draw, problem_id in connection.execute(found)}

    def versions(self, arm_id: int) -> dict[str, str]:
        """What the run that made the arm's first rollout was made with: package → version."""
        sql = "SELECT versions FROM run WHERE id = (SELECT run_id FROM rollout WHERE arm_id = ? ORDER BY draw LIMIT 1)"
        with self._reading() as connection:
            found = connection.exec_driver_sql(sql, (arm_id,)).scalar()
        return dict(json.loads(found or "{}"))

    def prompts(self, arm_id: int) -> dict[int, str]:
        """Problem id → digest of its prompt's token ids, as the arm's rollouts were asked."""
        prompt = _table(tables.Prompt)
        with self._reading() as connection:
            rows = connection.execute(select(prompt.c.problem_id, prompt.c.digest).where(prompt.c.arm_id == arm_id)).all()
            return dict(map(tuple, rows))

    def add_prompts(self, arm_id: int, digests: Mapping[int, str]) -> None:
        """Notes problem id → digest of its prompt's token ids in the arm; one that is noted already stays as it is."""
        rows = [{"arm_id": arm_id, "problem_id": problem_id, "digest": digest} for problem_id, digest in digests.items()]
        if rows:
            with self._transaction() as connection:
                connection.execute(_insert_new(tables.Prompt), rows)

    def rounding(self, arm_id: int) -> dict[str, Any] | None:
        """What the dtype leaves of the arm's perturbation (see `tables.Arm`); None where it was not measured."""
        arm = _table(tables.Arm)
        with self._reading() as connection:
            found: dict[str, Any] | None = connection.scalar(select(arm.c.rounding).where(arm.c.id == arm_id))
            return found

    def set_rounding(self, arm_id: int, rounding: Mapping[str, Any]) -> None:
        """Notes what the dtype leaves of the arm's perturbation."""
        arm = _table(tables.Arm)
        with self._transaction() as connection:
            connection.execute(update(arm).where(arm.c.id == arm_id).values(rounding=dict(rounding)))

    def texts(self, arm_id: int, draws: Sequence[int]) -> dict[tuple[int, int], str]:
        """(draw, problem id) → text of every rollout that the arm has from the least to the greatest of `draws`."""
        with self._reading() as connection:
            rows = connection.exec_driver_sql(_TEXTS, (arm_id, min(draws), max(draws)))
            return {(draw, problem_id): text for draw, problem_id, text in rows}

    def save(
        self, arm_id: int, run_id: int, scorer: str, rollouts: Sequence[RolloutRow], seeds: Mapping[int, int] | None = None
    ) -> int:
        """Writes finished rollouts with their scores, all or none; one that is there already stays as it is.

        Returns how many were new. `seeds`: draw → seed of its perturbation, where draws have one; the σ of a perturbation arm's
        draws is its value. Now and then, at least once a minute and when another arm begins, the log is copied into the file.
        """
        numbers = sorted({r.draw for r in rollouts})
        draws = [(i, seeds[i] if seeds else None, arm_id) for i in numbers]
        rows = [(arm_id, r.draw, r.problem_id, run_id, r.tokens, r.prompt_tokens, r.finish, r.text) for r in rollouts]
        scores = [(arm_id, r.draw, r.problem_id, scorer, *r.score) for r in rollouts]
        if not rows:
            return 0
        with self.at_once(), self._transaction() as connection:
            connection.exec_driver_sql(_NEW_DRAWS, draws)
            new = connection.exec_driver_sql(_NEW_ROLLOUTS, rows).rowcount
            if new < len(rows):  # another process was first: its text stays, and our verdicts on another text are none of its
                stored = self.texts(arm_id, numbers)
                scores = [score for score, r in zip(scores, rollouts, strict=True) if stored[r.draw, r.problem_id] == r.text]
            if scores:
                connection.exec_driver_sql(_NEW_SCORES, scores)
        if self._last_arm not in (None, arm_id) or time.monotonic() >= self._copy_at:
            self.checkpoint()
        self._last_arm = arm_id
        return new

    def count_to_score(self, task: str, scorer: str, everything: bool) -> int:
        """How many rollouts `to_score` will yield."""
        with self._reading() as connection:
            sql = f"SELECT count(*) {_TO_SCORE}"
            return int(connection.exec_driver_sql(sql, (0, task, everything, scorer)).scalar_one())

    def to_score(self, task: str, scorer: str, everything: bool, batch: int = 5000) -> Iterator[list[StoredRollout]]:
        """Batches of the task's rollouts that `scorer` has not judged, or of all of them, in order of their ids."""
        last = 0
        sql = f"SELECT r.id, r.arm_id, r.problem_id, r.draw, p.payload, r.text {_TO_SCORE} ORDER BY r.id LIMIT {int(batch)}"
        while True:
            with self._reading() as connection:
                rows = connection.exec_driver_sql(sql, (last, task, everything, scorer)).all()
            if not rows:
                return
            yield [StoredRollout(i, arm, problem, draw, json.loads(p), text) for i, arm, problem, draw, p, text in rows]
            last = rows[-1][0]

    def save_scores(self, scorer: str, judged: Sequence[tuple[StoredRollout, Score]]) -> None:
        """Writes verdicts, replacing the same scorer's earlier ones."""
        rows = [
            {"arm_id": r.arm_id, "problem_id": r.problem_id, "draw": r.draw, "scorer": scorer, **score._asdict()}
            for r, score in judged
        ]
        with self._transaction() as connection:
            connection.execute(insert(_table(tables.Score)).prefix_with("OR REPLACE"), rows)

    def start_run(self, command: str, versions: Mapping[str, str], machine: Mapping[str, Any]) -> int:
        """Notes that an invocation begins to produce rollouts; returns its row."""
        row = {
            "uuid": str(uuid4()),
            "command": command,
            "versions": dict(versions) | {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
            "machine": dict(machine),
            "started": _now(),
            "state": "running",
        }
        with self._transaction() as connection:
            return int(connection.execute(insert(_table(tables.Run)), row).inserted_primary_key[0])  # type: ignore[index]

    def mark_killed(self, is_gone: Callable[[Mapping[str, Any]], bool]) -> None:
        """Notes the end of every run that is still called running although its process on its machine is gone."""
        run = _table(tables.Run)
        with self._transaction() as connection:
            running = connection.execute(select(run.c.id, run.c.machine).where(run.c.state == "running")).all()
            killed = [i for i, machine in running if is_gone(machine)]
            connection.execute(update(run).where(run.c.id.in_(killed)).values(state="killed"))

    @contextmanager
    def ending(self, run_id: int) -> Iterator[None]:
        """Notes with the run how the work inside ended: done, interrupted or failed. If it cannot, it stays running."""
        try:
            yield
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                self.file.hurry()
            with suppress(UserError):  # what stopped the work may stop this note too; the error to see is the work's
                self.end_run(
                    run_id, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed", str(error)[:1000] or None
                )
            raise
        self.end_run(run_id, "done")

    def end_run(self, run_id: int, state: str, message: str | None = None) -> None:
        """Notes how the invocation ended."""
        run = _table(tables.Run)
        with self._transaction() as connection:
            connection.execute(update(run).where(run.c.id == run_id).values(ended=_now(), state=state))
            if message is not None:
                connection.exec_driver_sql(_NOTE, (message, run_id))

    def note(self, run_id: int, line: str) -> None:
        """Adds a line to the run's message: what happened on the way."""
        with self._transaction() as connection:
            connection.exec_driver_sql(_NOTE, (line, run_id))


# As text with plain tuples: SQLAlchemy's compiled inserts spend more time on each row than SQLite does. A row whose unique key is
# there already is left alone.
_NEW_DRAWS = (
    "INSERT INTO draw (arm_id, number, seed, sigma) "
    f"SELECT id, ?, ?, CASE WHEN method = '{PERTURBATION.name}' THEN value END FROM arm WHERE id = ? "
    "ON CONFLICT (arm_id, number) DO NOTHING"
)
_NEW_ROLLOUTS = (
    "INSERT INTO rollout (arm_id, draw, problem_id, run_id, tokens, prompt_tokens, finish, text) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (arm_id, draw, problem_id) DO NOTHING"
)
_NEW_SCORES = (
    "INSERT INTO score (arm_id, draw, problem_id, scorer, correct, reason, answer, ballot, reward) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scorer, arm_id, draw, problem_id) DO NOTHING"
)

_OLDER_FACTS = "chance IS NOT NULL AND outcomes IS NULL"  # today's proofs give both or neither
_COMPLETE_FACTS = (
    f"UPDATE problem SET solvable = ?, solution = ?, chance = ?, stratum = ?, outcomes = ? WHERE digest = ? AND {_OLDER_FACTS}"
)

_TEXTS = "SELECT draw, problem_id, text FROM rollout WHERE arm_id = ? AND draw BETWEEN ? AND ?"

_NOTE = "UPDATE run SET message = coalesce(message || char(10), '') || ? WHERE id = ?"

# After the id of the last rollout seen: those of a task, all or only those a scorer has not judged.
_TO_SCORE = """
FROM rollout AS r JOIN problem AS p ON p.id = r.problem_id
WHERE r.id > ? AND p.task = ? AND (? OR NOT EXISTS (
  SELECT 1 FROM score AS s
  WHERE s.scorer = ? AND s.arm_id = r.arm_id AND s.problem_id = r.problem_id AND s.draw = r.draw))
"""


def _table(model: type[SQLModel]) -> Any:
    return model.__table__  # type: ignore[attr-defined]


def _column(model: type[SQLModel], name: str) -> Any:
    return _table(model).c[name]


def _id_of(model: type[SQLModel], digest: str) -> Any:
    return select(_column(model, "id")).where(_column(model, "digest") == digest)


def _insert_new(model: type[SQLModel]) -> Any:
    """INSERT that leaves a row alone whose unique key is there already."""
    return insert(_table(model)).prefix_with("OR IGNORE")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
