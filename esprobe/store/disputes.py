"""Where two databases that share a row differ in what follows from it: one of them is wrong, and this module finds which.

Knows the tables of both, as `main` and `other` of one connection. Reads only; asked while one is merged into the other, once all
that `other` says has been verified.
"""

import sqlite3

from esprobe.store.verification import Verification
from esprobe.tasks.registry import find_tasks


def facts(connection: sqlite3.Connection) -> set[str]:
    """Digests of the problems of which both say something, and not the same."""
    return {digest for (digest,) in connection.execute(_FACTS)}


def ours(connection: sqlite3.Connection) -> str | None:
    """In a few words a problem or an arm of `main` that is not what its digest says, or a false fact; None without."""
    if wrong := Verification(connection, "main").disputed(facts(connection)):
        return wrong
    found = connection.execute(_ARM).fetchone()
    return None if found is None else f"table arm: arm {found[0]} is not what its digest says"


def verdicts(connection: sqlite3.Connection) -> str | None:
    """In a few words a verdict of `main` that its known scorer does not give; None without.

    Needs the temporary tables of merging: `arm_map`, `problem_map` and `differing`.
    """
    names = [name for (name,) in connection.execute("SELECT DISTINCT task FROM other.problem")]
    known = [scorer for task in find_tasks(names).values() for scorer in task.scorers]
    found = connection.execute(_VERDICT.format(",".join("?" * len(known))), known).fetchone()
    if found is None:
        return None
    scorer, arm, draw, problem = found
    return f"draw {draw} of problem {problem} in arm {arm} has a verdict that {scorer} does not give its text"


_FACTS = """
SELECT digest FROM main.problem AS ours JOIN other.problem AS theirs USING (digest)
WHERE ours.solvable <> theirs.solvable OR ours.solution <> theirs.solution OR ours.chance <> theirs.chance
   OR ours.stratum <> theirs.stratum OR ours.outcomes <> theirs.outcomes
"""

_ARM = """
SELECT ours.id
FROM other.arm AS theirs
JOIN other.model AS their_model ON their_model.id = theirs.model_id
JOIN main.arm AS ours USING (digest)
JOIN main.model AS our_model ON our_model.id = ours.model_id
WHERE ours.method <> theirs.method OR ours.value IS NOT theirs.value OR ours.task <> theirs.task
   OR our_model.digest <> their_model.digest LIMIT 1
"""

_VERDICT = """
SELECT theirs.scorer, ours.arm_id, ours.draw, ours.problem_id
FROM other.score AS theirs
JOIN arm_map ON arm_map.there = theirs.arm_id
JOIN problem_map ON problem_map.there = theirs.problem_id
CROSS JOIN main.score AS ours ON ours.scorer = theirs.scorer
  AND ours.arm_id = arm_map.here AND ours.draw = theirs.draw AND ours.problem_id = problem_map.here
WHERE theirs.scorer IN ({})
  AND (ours.correct <> theirs.correct OR ours.reason <> theirs.reason OR ours.answer IS NOT theirs.answer
    OR ours.ballot IS NOT theirs.ballot OR ours.reward <> theirs.reward OR ours.expression IS NOT theirs.expression)
  AND (theirs.arm_id, theirs.draw, theirs.problem_id) NOT IN (SELECT arm_id, draw, problem_id FROM differing) LIMIT 1
"""
