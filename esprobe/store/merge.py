"""Merges another results database, exactly once: whatever its natural keys say is new, with its ids translated to ours.

Knows both files' tables and keys, not what a rollout means. The other file is only read; nothing that it says about its own rows
is trusted (see `soundness` and `verification`); all is one transaction.
"""

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from esprobe.errors import UserError
from esprobe.store import disputes, schema, soundness
from esprobe.store.attached import attached, current, has_log
from esprobe.store.faults import disk_full, reason
from esprobe.store.store import Store
from esprobe.store.verification import Verification
from esprobe.tasks.base import Facts


@dataclass(frozen=True)
class Merged:
    """How many rows were new. `rollouts` of `read`; `differing` rollouts have another text here, which stays."""

    read: int
    models: int
    problems: int
    arms: int
    runs: int
    rollouts: int
    scores: int
    differing: int
    unchecked: tuple[str, ...] = ()  # what could not be verified, in words
    cut_short: int = 0  # runs without an end, in a file without a log: it may be a copy that lacks its newest rollouts

    def line(self) -> str:
        """What was merged, in one line."""
        parts = ", ".join(_counted(getattr(self, f"{name}s"), name) for name in ("score", "arm", "problem", "run"))
        stays = f"not merged: {_counted(self.differing, 'rollout')} with another text than here"
        line = f"{self.rollouts:,} of {_counted(self.read, 'rollout')} merged; also new: {parts}; the others are already here"
        if self.differing:
            line += f"; {stays}"
        if self.unchecked:
            line += f"; merged unchecked, for this esprobe does not know them: {', '.join(self.unchecked)}"
        if self.cut_short:
            line += (
                f"; {_counted(self.cut_short, 'run')} in it did not end: if the file was copied while that ran, the newest "
                "rollouts are in the file that ends in -wal, so copy both and merge again"
            )
        return line


def merge(other: Path, db: Path) -> Merged:
    """Adds to `db`, which is created when missing, all that `other` has and it has not. Raises UserError; then nothing is added.

    Models, problems and arms are the same if their digests are, runs if their uuid is, rollouts and scores by their natural keys.
    What is there already stays as it is; the other side's scores of a rollout that differs are left out too. Digests, facts of
    problems, seeds and verdicts are computed again from the rows of the other side before the first row is written.
    """
    if db.exists() and other.exists() and os.path.samefile(db, other):
        raise UserError(f"{other}: is the database itself; name another one to merge into it")
    try:
        state = schema.inspect(other)
    except (TypeError, ValueError) as error:
        raise UserError(f"{other}: cannot be merged (its schema cannot be read: {error}); nothing was merged") from None
    if state == "new":
        raise UserError(f"{other}: there is no results database to merge")
    logged = has_log(other)  # asked first, since reading may make one
    with current(other, state) as readable:
        store = Store(db)
        try:
            with attached(store, readable) as connection:
                facts, unchecked = _verified(connection, store)
                if wrong := disputes.ours(connection):
                    raise UserError(f"{db}: contradicts itself ({wrong}); merge into a sound database; nothing was merged")
                merged = replace(_take_in(connection, db, facts), unchecked=unchecked)
                return merged if logged else replace(merged, cut_short=_without_end(connection))
        except _RefusedError as error:
            raise UserError(f"{other}: {error}; nothing was merged") from None
        except (sqlite3.Error, DBAPIError, UnicodeError) as error:
            if disk_full(error, db):
                raise UserError(f"{db}: the disk is full; nothing was merged: free some space and merge again") from None
            raise UserError(f"{other}: cannot be merged ({reason(error)}); nothing was merged") from None
        finally:
            store.close()


class _RefusedError(Exception):
    """Why the other database is not merged."""


def _verified(connection: sqlite3.Connection, store: Store) -> tuple[dict[str, Facts], tuple[str, ...]]:
    """(digest → facts of the problems that the store lacks, what of the other database could not be checked).

    Ends with the store's write lock. Raises _RefusedError for the first row that is not what esprobe would have written.
    """
    if defect := soundness.first_defect(connection, "other"):
        raise _RefusedError(f"cannot be merged ({defect})")
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM other.rollout)").fetchone()[0]:
        raise _RefusedError(
            "contains no rollouts, so there is nothing to merge; a copy of a database that is being written needs the file that "
            "ends in -wal as well"
        )
    verification = Verification(connection, "other")
    if wrong := verification.first_falsehood():
        raise _RefusedError(f"cannot be merged, for it contradicts itself ({wrong})")
    unknown = {problem.digest for problem in store.unknown_problems(verification.problems())}
    facts, wrong = verification.facts(unknown)
    if not wrong:
        _lock(connection, store)
        disputed, wrong = verification.facts(disputes.facts(connection))
        facts |= disputed
    if wrong:
        raise _RefusedError(f"cannot be merged, for it contradicts itself ({wrong})")
    return facts, tuple(verification.unchecked())


def _lock(connection: sqlite3.Connection, store: Store) -> None:
    """Takes the store's write lock, before the first look at it: a transaction that has read cannot write after another has."""
    store.file.patiently(connection, "DELETE FROM main.run WHERE false")
    store.file.check()


def _without_end(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM other.run WHERE state = 'running'").fetchone()[0])


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _take_in(connection: sqlite3.Connection, db: Path, facts: Mapping[str, Facts]) -> Merged:
    def count(sql: str) -> int:
        return int(connection.execute(sql).fetchone()[0])

    new = {}
    for table, key, sql in _PARENTS:
        new[table] = connection.execute(sql).rowcount
        _map_ids(connection, table, key)
    connection.executemany(_FACTS, [(*astuple(known), digest) for digest, known in facts.items()])
    connection.execute(_ENDED_SINCE)
    for arm, number in connection.execute(_OTHER_SEED):
        raise UserError(f"{db}: draw {number} of arm {arm} has another seed in the other database; nothing was merged")
    for arm, problem in connection.execute(_OTHER_PROMPT):
        raise UserError(f"{db}: the prompt of problem {problem} in arm {arm} differs in the other database; nothing was merged")
    connection.execute(_DIFFERING)
    if wrong := disputes.verdicts(connection):
        raise UserError(f"{db}: {wrong}; `esprobe score --all` corrects it; nothing was merged")
    connection.execute(_ROUNDING)
    connection.execute(_PARENT_MODELS)
    connection.execute(_MODELS_ARMS)
    connection.execute(_NEW_PROMPTS)
    connection.execute(_NEW_DRAWS)
    rollouts = connection.execute(_NEW_ROLLOUTS).rowcount
    scores = connection.execute(_NEW_SCORES).rowcount
    return Merged(
        read=count("SELECT count(*) FROM other.rollout"),
        models=new["model"],
        problems=new["problem"],
        arms=new["arm"],
        runs=new["run"],
        rollouts=rollouts,
        scores=scores,
        differing=count("SELECT count(*) FROM differing"),
    )


def _map_ids(connection: sqlite3.Connection, table: str, key: str) -> None:
    """The temporary table `TABLE_map`: id there → id here."""
    connection.execute(f"CREATE TEMP TABLE {table}_map (there INTEGER PRIMARY KEY, here INTEGER NOT NULL)")
    connection.execute(
        f"INSERT INTO {table}_map SELECT theirs.id, ours.id FROM other.{table} AS theirs JOIN main.{table} AS ours USING ({key})"
    )


# (table, natural key, statement), each after those whose ids it needs. `WHERE true` lets SQLite tell ON CONFLICT from a join.
_PARENTS = (
    (
        "model",
        "digest",
        "INSERT INTO main.model (digest, name, updates) SELECT digest, name, updates FROM other.model WHERE true ORDER BY id "
        "ON CONFLICT (digest) DO NOTHING",
    ),
    (
        "problem",
        "digest",
        "INSERT INTO main.problem (digest, task, payload) SELECT digest, task, payload FROM other.problem WHERE true ORDER BY id "
        "ON CONFLICT (digest) DO NOTHING",
    ),
    (
        "arm",
        "digest",
        "INSERT INTO main.arm (digest, model_id, task, method, value, settings, rounding) "
        "SELECT digest, model_map.here, task, method, value, settings, rounding FROM other.arm "
        "JOIN model_map ON model_map.there = model_id WHERE true ORDER BY arm.id ON CONFLICT (digest) DO NOTHING",
    ),
    (
        "run",
        "uuid",
        "INSERT INTO main.run (uuid, command, versions, machine, started, last_write, ended, state, message) "
        "SELECT uuid, command, versions, machine, started, last_write, ended, state, message FROM other.run WHERE true "
        "ORDER BY id ON CONFLICT (uuid) DO NOTHING",
    ),
)

# What was proven of a problem that was not here; nothing is known of it yet.
_FACTS = """
UPDATE main.problem SET solvable = ?, solution = ?, chance = ?, stratum = ?, outcomes = ?
WHERE digest = ? AND stratum IS NULL AND solvable IS NULL AND chance IS NULL
"""

# A run that was copied while it ran, and has gone on there since, or ended.
_ENDED_SINCE = """
UPDATE main.run SET (last_write, ended, state, message) = (
  SELECT last_write, ended, state, message FROM other.run AS theirs WHERE theirs.uuid = run.uuid)
WHERE ended IS NULL AND uuid IN (
  SELECT uuid FROM other.run AS theirs WHERE theirs.ended IS NOT NULL OR theirs.last_write > coalesce(run.last_write, ''))
"""

# Draws are perturbed models: of one arm and number, they must be the same one.
_OTHER_SEED = """
SELECT ours.arm_id, ours.number
FROM other.draw AS theirs
JOIN arm_map ON arm_map.there = theirs.arm_id
JOIN main.draw AS ours ON ours.arm_id = arm_map.here AND ours.number = theirs.number
WHERE ours.seed IS NOT theirs.seed LIMIT 1
"""

# So must be what a problem's prompt was: other token ids are another setting.
_OTHER_PROMPT = """
SELECT ours.arm_id, ours.problem_id
FROM other.prompt AS theirs
JOIN arm_map ON arm_map.there = theirs.arm_id
JOIN problem_map ON problem_map.there = theirs.problem_id
JOIN main.prompt AS ours ON ours.arm_id = arm_map.here AND ours.problem_id = problem_map.here
WHERE ours.digest <> theirs.digest LIMIT 1
"""

# Measured on one side only.
_ROUNDING = """
UPDATE main.arm SET rounding = (
  SELECT theirs.rounding FROM arm_map JOIN other.arm AS theirs ON theirs.id = arm_map.there WHERE arm_map.here = arm.id)
WHERE rounding IS NULL
"""

_NEW_DRAWS = """
INSERT INTO main.draw (arm_id, number, seed, sigma)
SELECT arm_map.here, number, seed, sigma FROM other.draw JOIN arm_map ON arm_map.there = arm_id WHERE true
ON CONFLICT (arm_id, number) DO NOTHING
"""

# A trained model's parent, which may have come in with it or been here before.
_PARENT_MODELS = """
UPDATE main.model SET parent_id = (
  SELECT parent_map.here FROM model_map JOIN other.model AS theirs ON theirs.id = model_map.there
  JOIN model_map AS parent_map ON parent_map.there = theirs.parent_id WHERE model_map.here = model.id)
WHERE parent_id IS NULL AND updates IS NOT NULL
"""

# The arm that a trained model was made of, likewise.
_MODELS_ARMS = """
UPDATE main.model SET arm_id = (
  SELECT arm_map.here FROM model_map JOIN other.model AS theirs ON theirs.id = model_map.there
  JOIN arm_map ON arm_map.there = theirs.arm_id WHERE model_map.here = model.id)
WHERE arm_id IS NULL AND updates IS NOT NULL
"""

_NEW_PROMPTS = """
INSERT INTO main.prompt (arm_id, problem_id, digest)
SELECT arm_map.here, problem_map.here, digest FROM other.prompt
JOIN arm_map ON arm_map.there = arm_id JOIN problem_map ON problem_map.there = problem_id WHERE true
ON CONFLICT (arm_id, problem_id) DO NOTHING
"""

# Keys, in the other database's ids, of the rollouts whose texts differ.
_DIFFERING = """
CREATE TEMP TABLE differing AS
SELECT theirs.arm_id, theirs.draw, theirs.problem_id
FROM other.rollout AS theirs
JOIN arm_map ON arm_map.there = theirs.arm_id
JOIN problem_map ON problem_map.there = theirs.problem_id
CROSS JOIN main.rollout AS ours
  ON ours.arm_id = arm_map.here AND ours.draw = theirs.draw AND ours.problem_id = problem_map.here
WHERE ours.text <> theirs.text
"""

_NEW_ROLLOUTS = """
INSERT INTO main.rollout (arm_id, draw, problem_id, run_id, tokens, prompt_tokens, finish, text)
SELECT arm_map.here, draw, problem_map.here, run_map.here, tokens, prompt_tokens, finish, text
FROM other.rollout
LEFT JOIN arm_map ON arm_map.there = arm_id
LEFT JOIN problem_map ON problem_map.there = problem_id
LEFT JOIN run_map ON run_map.there = run_id
WHERE true ORDER BY rollout.id
ON CONFLICT (arm_id, draw, problem_id) DO NOTHING
"""

_NEW_SCORES = """
INSERT INTO main.score (scorer, arm_id, draw, problem_id, correct, reason, answer, ballot, reward, expression)
SELECT scorer, arm_map.here, draw, problem_map.here, correct, reason, answer, ballot, reward, expression
FROM other.score
LEFT JOIN arm_map ON arm_map.there = arm_id
LEFT JOIN problem_map ON problem_map.there = problem_id
WHERE (arm_id, draw, problem_id) NOT IN (SELECT arm_id, draw, problem_id FROM differing)
ON CONFLICT (scorer, arm_id, draw, problem_id) DO NOTHING
"""
