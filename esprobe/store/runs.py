"""The runs of a results database: one invocation that produced rollouts, from its start to however it ended.

Knows the table `run` and states, not what a run does. What a method writes is one transaction.
"""

import platform
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import insert, select, update
from sqlmodel import SQLModel

from esprobe.errors import UserError
from esprobe.store import tables
from esprobe.store.database import Database


class Runs(Database):
    """A results database whose runs can be written."""

    def start_run(self, command: str, versions: Mapping[str, str], machine: Mapping[str, Any]) -> int:
        """Notes that an invocation begins to produce rollouts; returns its row."""
        row = {
            "uuid": str(uuid4()),
            "command": command,
            "versions": dict(versions) | {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
            "machine": dict(machine),
            "started": now(),
            "state": "running",
        }
        with self.transaction() as connection:
            return int(connection.execute(insert(table_of(tables.Run)), row).inserted_primary_key[0])  # type: ignore[index]

    def mark_killed(self, is_gone: Callable[[Mapping[str, Any]], bool]) -> None:
        """Notes the end of every run that is still called running although its process on its machine is gone."""
        run = table_of(tables.Run)
        with self.transaction() as connection:
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
        run = table_of(tables.Run)
        with self.transaction() as connection:
            connection.execute(update(run).where(run.c.id == run_id).values(ended=now(), state=state))
            if message is not None:
                connection.exec_driver_sql(_NOTE, (message, run_id))

    def pace_of(self, model_digest: str) -> tuple[float | None, float | None]:
        """(tokens per rollout, rollouts per second) of the last run that was done with this model; None where there is none.

        A run's pace is that of all its rollouts, those of other models of a training included.
        """
        with self.reading() as connection:
            found = connection.exec_driver_sql(_PACE, (model_digest,)).first()
            return (None, None) if found is None else (found[0], found[1])

    def note(self, run_id: int, line: str) -> None:
        """Adds a line to the run's message: what happened on the way."""
        with self.transaction() as connection:
            connection.exec_driver_sql(_NOTE, (line, run_id))


_PACE = """
SELECT avg(tokens), (SELECT count(*) FROM rollout AS every WHERE every.run_id = run.id)
  / nullif((julianday(ended) - julianday(started)) * 86400, 0)
FROM rollout JOIN run ON run.id = run_id
WHERE state = 'done' AND arm_id IN (SELECT arm.id FROM arm JOIN model ON model.id = model_id WHERE model.digest = ?)
GROUP BY run_id ORDER BY run_id DESC LIMIT 1
"""
_NOTE = "UPDATE run SET message = coalesce(message || char(10), '') || ? WHERE id = ?"


def table_of(model: type[SQLModel]) -> Any:
    """The SQLAlchemy table of a class of `tables`."""
    return model.__table__  # type: ignore[attr-defined]


def now() -> str:
    """The time as runs note it: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
