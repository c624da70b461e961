"""The results database: writes problems, arms, draws, rollouts and scores, and says what is already there.

Knows tables, not models, backends or how a table is shown. What a method writes is one transaction.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlmodel import SQLModel

from esprobe import arms
from esprobe.methods import PERTURBATION
from esprobe.store import tables
from esprobe.store.runs import Runs, now, table_of
from esprobe.tasks.base import Facts, Problem, Score

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


class Store(Runs):
    """An open results database; see the module's docstring."""

    def __init__(self, path: Path) -> None:
        """See Database."""
        super().__init__(path)
        self._last_arm: int | None = None

    def unknown_problems(self, problems: Sequence[Problem]) -> list[Problem]:
        """Those of `problems` that the database does not have yet, or with the facts of an older esprobe."""
        with self.reading() as connection:
            known = set(connection.exec_driver_sql(f"SELECT digest FROM problem WHERE NOT ({_OLDER_FACTS})").scalars())
        return [p for p in problems if p.digest not in known]

    def older_problems(self, task: str) -> list[Problem]:
        """The task's problems whose facts an older esprobe proved, so that some are missing."""
        with self.reading() as connection:
            sql = f"SELECT payload FROM problem WHERE task = ? AND {_OLDER_FACTS}"
            return [Problem(task, json.loads(payload)) for payload in connection.exec_driver_sql(sql, (task,)).scalars()]

    def known_problems(self, problems: Sequence[Problem]) -> dict[str, int]:
        """Digest → row of those of `problems` that are there."""
        with self.reading() as connection:
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
            with self.at_once(), self.transaction() as connection:
                self.complete_facts(found)
                connection.execute(_insert_new(tables.Problem), rows)

    def complete_facts(self, found: Sequence[tuple[Problem, Facts]]) -> None:
        """Replaces the facts of an older esprobe by today's; adds no problem and changes no other."""
        known = [(*astuple(facts), problem.digest) for problem, facts in found]
        if known:
            with self.transaction() as connection:
                connection.exec_driver_sql(_COMPLETE_FACTS, known)

    def problem_ids(self, problems: Sequence[Problem]) -> list[int]:
        """The rows of `problems`, which must have been added, in order."""
        with self.reading() as connection:
            ids: dict[str, int] = dict(
                connection.execute(select(_column(tables.Problem, "digest"), _column(tables.Problem, "id"))).all()
            )
        return [ids[p.digest] for p in problems]

    def arm_id(self, arm: arms.Arm) -> int:
        """The row of the arm, added with its model if it is new."""
        with self.at_once(), self.transaction() as connection:
            self.add_model(arm.model_digest, arm.model)
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

    def add_model(self, digest: str, name: str) -> None:
        """Adds a model, if it is new."""
        with self.transaction() as connection:
            connection.execute(_insert_new(tables.Model), [{"digest": digest, "name": name}])

    def place_model(self, digest: str, told: Mapping[str, str | None]) -> None:
        """Notes of a model that is there what it is called, and where its files are now, as far as that is told and new."""
        model = table_of(tables.Model)
        if told:
            new = or_(*(model.c[key].is_distinct_from(value) for key, value in told.items()))
            with self.transaction() as connection:
                connection.execute(update(model).where(model.c.digest == digest, new).values(dict(told)))

    def find_arm(self, digest: str) -> int | None:
        """The row of an arm, if it is there."""
        with self.reading() as connection:
            found: int | None = connection.scalar(_id_of(tables.Arm, digest))
            return found

    def counts(self, arm_id: int, draws: int) -> dict[int, int]:
        """Problem id → how many rollouts the arm has of its draws 0 … `draws` − 1."""
        sql = "SELECT problem_id, count(*) FROM rollout WHERE arm_id = ? AND draw < ? GROUP BY problem_id"
        with self.reading() as connection:
            return dict(map(tuple, connection.exec_driver_sql(sql, (arm_id, draws))))

    def done(self, arm_id: int, draws: range | None = None) -> set[tuple[int, int]]:
        """(draw, problem id) of every rollout that the arm has, or has of a stretch of draws."""
        rollout = table_of(tables.Rollout)
        found = select(rollout.c.draw, rollout.c.problem_id).where(rollout.c.arm_id == arm_id)
        if draws is not None:
            found = found.where(rollout.c.draw >= draws.start, rollout.c.draw < draws.stop)
        with self.reading() as connection:
            return {(draw, problem_id) for draw, problem_id in connection.execute(found)}

    def versions(self, arm_id: int) -> dict[str, str]:
        """What the run that made the arm's first rollout was made with: package → version."""
        sql = "SELECT versions FROM run WHERE id = (SELECT run_id FROM rollout WHERE arm_id = ? ORDER BY draw LIMIT 1)"
        with self.reading() as connection:
            found = connection.exec_driver_sql(sql, (arm_id,)).scalar()
        return dict(json.loads(found or "{}"))

    def prompts(self, arm_id: int) -> dict[int, str]:
        """Problem id → digest of its prompt's token ids, as the arm's rollouts were asked."""
        prompt = table_of(tables.Prompt)
        with self.reading() as connection:
            rows = connection.execute(select(prompt.c.problem_id, prompt.c.digest).where(prompt.c.arm_id == arm_id)).all()
            return dict(map(tuple, rows))

    def add_prompts(self, arm_id: int, digests: Mapping[int, str]) -> None:
        """Notes problem id → digest of its prompt's token ids in the arm; one that is noted already stays as it is."""
        rows = [{"arm_id": arm_id, "problem_id": problem_id, "digest": digest} for problem_id, digest in digests.items()]
        if rows:
            with self.transaction() as connection:
                connection.execute(_insert_new(tables.Prompt), rows)

    def rounding(self, arm_id: int) -> dict[str, Any] | None:
        """What the dtype leaves of the arm's perturbation (see `tables.Arm`); None where it was not measured."""
        arm = table_of(tables.Arm)
        with self.reading() as connection:
            found: dict[str, Any] | None = connection.scalar(select(arm.c.rounding).where(arm.c.id == arm_id))
            return found

    def set_rounding(self, arm_id: int, rounding: Mapping[str, Any]) -> None:
        """Notes what the dtype leaves of the arm's perturbation."""
        arm = table_of(tables.Arm)
        with self.transaction() as connection:
            connection.execute(update(arm).where(arm.c.id == arm_id).values(rounding=dict(rounding)))

    def texts(self, arm_id: int, draws: Sequence[int]) -> dict[tuple[int, int], str]:
        """(draw, problem id) → text of every rollout that the arm has from the least to the greatest of `draws`."""
        with self.reading() as connection:
            rows = connection.exec_driver_sql(_TEXTS, (arm_id, min(draws), max(draws)))
            return {(draw, problem_id): text for draw, problem_id, text in rows}

    def save(
        self,
        arm_id: int,
        run_id: int,
        scorer: str,
        rollouts: Sequence[RolloutRow],
        seeds: Mapping[int, int] | None = None,
        sigmas: Mapping[int, float] | None = None,
    ) -> int:
        """Writes finished rollouts with their scores, all or none; one that is there already stays as it is.

        Returns how many were new. `seeds`, `sigmas`: draw → seed and σ of its perturbation, where draws have one; without
        `sigmas` the σ of a perturbation arm's draws is its value. Now and then, at least once a minute and when another arm
        begins, the log is copied into the file.
        """
        numbers = sorted({r.draw for r in rollouts})
        draws = [(i, seeds[i] if seeds else None, sigmas[i] if sigmas else None, arm_id) for i in numbers]
        rows = [(arm_id, r.draw, r.problem_id, run_id, r.tokens, r.prompt_tokens, r.finish, r.text) for r in rollouts]
        scores = [(arm_id, r.draw, r.problem_id, scorer, *r.score) for r in rollouts]
        if not rows:
            return 0
        with self.at_once(), self.transaction() as connection:
            connection.exec_driver_sql(_NEW_DRAWS, draws)
            new = connection.exec_driver_sql(_NEW_ROLLOUTS, rows).rowcount
            if new < len(rows):  # another process was first: its text stays, and our verdicts on another text are none of its
                stored = self.texts(arm_id, numbers)
                scores = [score for score, r in zip(scores, rollouts, strict=True) if stored[r.draw, r.problem_id] == r.text]
            if scores:
                connection.exec_driver_sql(_NEW_SCORES, scores)
            connection.exec_driver_sql(_WRITTEN, (now(), run_id))
        if self._last_arm not in (None, arm_id) or time.monotonic() >= self.copy_at:
            self.checkpoint()
        self._last_arm = arm_id
        return new

    def count_to_score(self, task: str, scorer: str, everything: bool) -> int:
        """How many rollouts `to_score` will yield."""
        with self.reading() as connection:
            sql = f"SELECT count(*) {_TO_SCORE}"
            return int(connection.exec_driver_sql(sql, (0, task, everything, scorer)).scalar_one())

    def to_score(self, task: str, scorer: str, everything: bool, batch: int = 5000) -> Iterator[list[StoredRollout]]:
        """Batches of the task's rollouts that `scorer` has not scored, or of all of them, in order of their ids."""
        last = 0
        sql = f"SELECT r.id, r.arm_id, r.problem_id, r.draw, p.payload, r.text {_TO_SCORE} ORDER BY r.id LIMIT {int(batch)}"
        while True:
            with self.reading() as connection:
                rows = connection.exec_driver_sql(sql, (last, task, everything, scorer)).all()
            if not rows:
                return
            yield [StoredRollout(i, arm, problem, draw, json.loads(p), text) for i, arm, problem, draw, p, text in rows]
            last = rows[-1][0]

    def save_scores(self, scorer: str, verdicts: Sequence[tuple[StoredRollout, Score]]) -> None:
        """Writes verdicts, replacing the same scorer's earlier ones."""
        rows = [
            {"arm_id": r.arm_id, "problem_id": r.problem_id, "draw": r.draw, "scorer": scorer, **score._asdict()}
            for r, score in verdicts
        ]
        with self.transaction() as connection:
            connection.execute(insert(table_of(tables.Score)).prefix_with("OR REPLACE"), rows)


# As text with plain tuples: SQLAlchemy's compiled inserts spend more time on each row than SQLite does. A row whose unique key is
# there already is left alone.
_NEW_DRAWS = (
    "INSERT INTO draw (arm_id, number, seed, sigma) "
    f"SELECT id, ?, ?, coalesce(?, CASE WHEN method = '{PERTURBATION.name}' THEN value END) FROM arm WHERE id = ? "
    "ON CONFLICT (arm_id, number) DO NOTHING"
)
_NEW_ROLLOUTS = (
    "INSERT INTO rollout (arm_id, draw, problem_id, run_id, tokens, prompt_tokens, finish, text) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (arm_id, draw, problem_id) DO NOTHING"
)
_NEW_SCORES = (
    "INSERT INTO score (arm_id, draw, problem_id, scorer, correct, reason, answer, ballot, reward, expression) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scorer, arm_id, draw, problem_id) DO NOTHING"
)
_WRITTEN = "UPDATE run SET last_write = ? WHERE id = ?"

_OLDER_FACTS = "chance IS NOT NULL AND outcomes IS NULL"  # today's proofs give both or neither
_COMPLETE_FACTS = (
    f"UPDATE problem SET solvable = ?, solution = ?, chance = ?, stratum = ?, outcomes = ? WHERE digest = ? AND {_OLDER_FACTS}"
)

_TEXTS = "SELECT draw, problem_id, text FROM rollout WHERE arm_id = ? AND draw BETWEEN ? AND ?"

# After the id of the last rollout seen: those of a task, all or only those a scorer has not scored.
_TO_SCORE = """
FROM rollout AS r JOIN problem AS p ON p.id = r.problem_id
WHERE r.id > ? AND p.task = ? AND (? OR NOT EXISTS (
  SELECT 1 FROM score AS s
  WHERE s.scorer = ? AND s.arm_id = r.arm_id AND s.problem_id = r.problem_id AND s.draw = r.draw))
"""


def _column(model: type[SQLModel], name: str) -> Any:
    return table_of(model).c[name]


def _id_of(model: type[SQLModel], digest: str) -> Any:
    return select(_column(model, "id")).where(_column(model, "digest") == digest)


def _insert_new(model: type[SQLModel]) -> Any:
    """INSERT that leaves a row alone whose unique key is there already."""
    return insert(table_of(model)).prefix_with("OR IGNORE")
