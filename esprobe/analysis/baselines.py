"""An arm's problems with what is known of them, and what needs no skill on them: guessing, greedy decoding with guesses; strata.

Reads counts and facts of problems. Knows no arm's settings and no layout; the formulas are in `nulls`. Plain Python.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from esprobe.analysis.reading import query
from esprobe.stats.intervals import Cell
from esprobe.stats.nulls import distinct_values, greedy_and_guesses, guessing, mean_if_known, strata


@dataclass(frozen=True)
class Tried:
    """One problem of an arm: n draws of which c are correct, and what is known of it (see `Facts`)."""

    problem_id: int
    n: int
    c: int
    solvable: bool | None
    chance: float | None
    outcomes: int | None
    stratum: str | None


def read_tried(connection: sqlite3.Connection, scorer: str) -> dict[int, list[Tried]]:
    """Arm → its problems, in order of their ids. What is proven under another scorer's rule is not known here."""
    _, rows = query(
        connection,
        "SELECT arm_id, problem_id, n, c, CASE WHEN task = scorer THEN solvable END, CASE WHEN task = scorer THEN chance END, "
        "CASE WHEN task = scorer THEN outcomes END, stratum FROM solved JOIN problem ON problem.id = problem_id "
        "WHERE scorer = ? ORDER BY arm_id, problem_id",
        [scorer],
    )
    tried: dict[int, list[Tried]] = {}
    for arm_id, problem_id, n, c, solvable, chance, outcomes, stratum in rows:
        problem = Tried(
            problem_id=problem_id,
            n=n,
            c=c,
            solvable=None if solvable is None else bool(solvable),
            chance=chance,
            outcomes=outcomes,
            stratum=stratum,
        )
        tried.setdefault(arm_id, []).append(problem)
    return tried


def counts(tried: Sequence[Tried]) -> dict[int, Cell]:
    """Problem → its draws and correct draws, in order."""
    return {problem.problem_id: Cell(problem.n, problem.c) for problem in tried}


def chance_at(tried: Sequence[Tried], k: int) -> float | None:
    """pass@k of uniformly random valid answers, mean over the problems; None where one's chance is not known."""
    return mean_if_known(None if p.chance is None else guessing(p.chance, k) for p in tried)


def distinct_at(tried: Sequence[Tried], k: int) -> float | None:
    """pass@k of guesses for which each distinct value is as likely, mean over the problems; None where one's is not known."""
    return mean_if_known(distinct_values(p.outcomes, p.chance, k) for p in tried)


def greedy_at(tried: Sequence[Tried], greedy: Mapping[int, float], k: int) -> float | None:
    """pass@k of one greedy answer and k − 1 guesses, mean over the problems. `greedy`: problem → what greedy decoding solves."""

    def share(problem: Tried) -> float | None:
        if problem.chance is None or problem.problem_id not in greedy:
            return None
        return greedy_and_guesses(greedy[problem.problem_id], problem.chance, k)

    return mean_if_known(map(share, tried))


def strata_of(tried: Sequence[Tried]) -> dict[str, list[Tried]]:
    """The problems by stratum; empty unless every problem has one and there are several."""
    return {name: [tried[i] for i in places] for name, places in strata([p.stratum for p in tried]).items()}
