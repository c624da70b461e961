"""Brings the verdicts of an older database to today's rules, so that one scorer's name never mixes two.

Knows the tables of verdicts and every task's scorers. Runs within the transaction of an upgrade.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from esprobe.errors import UserError
from esprobe.tasks.base import Score, Scorer, Task
from esprobe.tasks.registry import find_tasks

BATCH = 5000  # verdicts read at a time


def score_again(connection: sqlite3.Connection) -> tuple[int, int]:
    """Brings every stored verdict to today's rule of its scorer, in the connection's transaction.

    Returns how many changed between right and wrong, and how many were scored. Verdicts of unknown scorers, and those on rollouts
    or problems that esprobe would not have written, are left as they are.
    """
    changed = total = 0
    with _untriggered(connection):
        names = [name for (name,) in connection.execute("SELECT DISTINCT task FROM problem ORDER BY task")]
        for task in find_tasks(names).values():
            payloads = _payloads(connection, task)
            for name, scorer in task.scorers.items():
                last: tuple[Any, ...] = (-(2**63),) * 3
                while rows := connection.execute(_SCORED, (name, *last, BATCH)).fetchall():
                    new = _differing(rows, payloads, scorer)
                    connection.executemany(_SCORE, [(*score, name, *key) for key, _, score in new])
                    changed += sum(bool(was) != score.correct for _, was, score in new)
                    total += sum(problem_id in payloads for _, _, problem_id, *_ in rows)
                    last = rows[-1][:3]
    return changed, total


@contextmanager
def _untriggered(connection: sqlite3.Connection) -> Iterator[None]:
    """Inside, no trigger of the user's runs on verdicts, and bytes that are not UTF-8 are read as U+FFFD instead of failing."""
    own = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'score'").fetchall()
    for name, _ in own:
        connection.execute('DROP TRIGGER "' + name.replace('"', '""') + '"')
    connection.text_factory = lambda text: text.decode(errors="replace")
    yield
    connection.text_factory = str
    for _, sql in own:
        connection.execute(sql)


def _payloads(connection: sqlite3.Connection, task: Task) -> dict[int, Mapping[str, Any]]:
    """Problem id → payload, of those problems that the task can read."""
    found = {}
    for problem_id, text in connection.execute("SELECT id, payload FROM problem WHERE task = ?", (task.name,)):
        try:
            task.problem(payload := json.loads(text))
        except (UserError, TypeError, ValueError, RecursionError):
            continue
        found[problem_id] = payload
    return found


def _differing(rows: Sequence[Any], payloads: Mapping[int, Mapping[str, Any]], scorer: Scorer) -> list[tuple[Any, Any, Score]]:
    """(key, whether it was correct, verdict) for each row of `_SCORED` whose verdict is another one today."""
    found = []
    for *key, text, correct, reason, answer, ballot, reward, expression in rows:
        payload = payloads.get(key[2])
        if payload is not None and isinstance(text, str):
            score = scorer(payload, text)
            if (correct, reason, answer, ballot, reward, expression) != score:
                found.append((key, correct, score))
    return found


# The verdicts of a scorer after a key, with their texts: batches in the order of the key, so that none is met twice.
_SCORED = """
SELECT s.arm_id, s.draw, s.problem_id, r.text, s.correct, s.reason, s.answer, s.ballot, s.reward, s.expression
FROM score AS s CROSS JOIN rollout AS r ON r.arm_id = s.arm_id AND r.draw = s.draw AND r.problem_id = s.problem_id
WHERE s.scorer = ? AND (s.arm_id, s.draw, s.problem_id) > (?, ?, ?)
ORDER BY s.arm_id, s.draw, s.problem_id LIMIT ?
"""

_SCORE = (
    "UPDATE score SET correct = ?, reason = ?, answer = ?, ballot = ?, reward = ?, expression = ? "
    "WHERE scorer = ? AND arm_id = ? AND draw = ? AND problem_id = ?"
)
