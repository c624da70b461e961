"""Results of a database for Python: what `esprobe report` and the views say, as lists of named rows with intervals.

Knows the views and how intervals are made; opens the database read-only for each question and keeps nothing open.
"""

import json
import re
import sqlite3
from collections import namedtuple
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from keyword import iskeyword
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from esprobe.analysis.arms import ArmRow, Filter, above_chance
from esprobe.analysis.overview import Overview, read_overview
from esprobe.analysis.problems import ProblemRow, read_problems
from esprobe.analysis.reading import open_database, query
from esprobe.analysis.rows import ArmSummary, CoverAtTau, DrawAccuracy, PassAtK, RolloutText, RunRow, SolveCount, VoteAtK
from esprobe.analysis.runs import runs as read_runs
from esprobe.analysis.votes import KEYS, Key, VoteAt
from esprobe.analysis.which import scorer_of
from esprobe.errors import UserError
from esprobe.stats.intervals import share_interval
from esprobe.store.soundness import explained

Number = TypeVar("Number", int, float)
_IDENTITY = ("arm_id", "task", "model", "method", "value", "scorer")
_TEXT_COLUMNS = [name for name in RolloutText._fields if name not in _IDENTITY]


class Filters(TypedDict, total=False):
    """Which arms count, as in `esprobe report`. `model`: a part of its name, or its folder; the others: one value or several."""

    task: str
    model: str
    method: str | Sequence[str]
    value: float | Sequence[float]
    arm: int | Sequence[int]
    scorer: str


class Results:
    """A results database. Every method reads it again, so that it sees what a running sweep has added.

    All methods raise `esprobe.errors.UserError`, in one line that says what to do, where the file is no database of esprobe,
    where nothing is scored by the scorer, or where no arm passes the filters.

    >>> import esprobe, pandas
    >>> results = esprobe.results("esprobe.db")
    >>> pandas.DataFrame(results.pass_at_k(k=64))
    """

    def __init__(self, path: Path) -> None:
        """Opens nothing yet."""
        self.path = path

    def arms(self, **filters: Unpack[Filters]) -> list[ArmSummary]:
        """Every arm with its counts, by model, method and value."""
        with self._seen(filters, intervals=False) as (_, seen):
            return [_summary(arm, seen.scorer) for arm in seen.arms]

    def pass_at_k(self, *, k: int | Sequence[int] = (), **filters: Unpack[Filters]) -> list[PassAtK]:
        """pass@k of every arm at these k; without any at 1, 2, 4, … and n. A k beyond an arm's draws has no row."""
        ks = _several(k)
        with self._seen(filters, ks) as (_, seen):
            return [_pass_at_k(seen, arm, at) for arm in seen.arms for at in sorted(arm.at) if not ks or at in ks]

    def vote_at_k(
        self, *, k: int | Sequence[int] = (), by: Key | Sequence[Key] = KEYS, **filters: Unpack[Filters]
    ) -> list[VoteAtK]:
        """vote@k of every arm at these k, by these kinds of ballot.

        Without any k at 1, 2, 4, … and n; a k beyond an arm's draws has no row. Ballots by expression have rows only where
        answers have expressions.
        """
        ks, keys = _several(k), _keys(by)
        with self._seen(filters, ks, intervals=False, votes=True) as (_, seen):
            return [
                _vote_at_k(arm, seen.scorer, key, vote)
                for arm in seen.arms
                for key in keys
                if key == "value" or key in seen.ballots
                for at in sorted(arm.at)
                if (not ks or at in ks) and (vote := seen.votes[arm.arm_id].at(key, at)) is not None
            ]

    def draw_accuracy(self, **filters: Unpack[Filters]) -> list[DrawAccuracy]:
        """Every draw of every arm over all its problems: in a perturbation arm, every perturbed model."""
        with self._seen(filters, intervals=False) as (connection, seen):
            rows = _by_arm(connection, seen, "draw_accuracy", "draw, seed, problems, correct, accuracy, reward")
            return [_draw_accuracy(arm, seen.scorer, row) for arm, row in rows]

    def cover_at_tau(self, **filters: Unpack[Filters]) -> list[CoverAtTau]:
        """cover@τ of every arm and of guessing."""
        with self._seen(filters, intervals=False) as (connection, seen):
            rows = _by_arm(connection, seen, "cover_at_tau", "tau, problems, cover_at_tau, chance")
            return [_cover_at_tau(arm, seen.scorer, row) for arm, row in rows]

    def solved(self, **filters: Unpack[Filters]) -> list[SolveCount]:
        """How often every arm solved each of its problems."""
        with self._seen(filters, intervals=False) as (_, seen):
            return [
                SolveCount(**_identity(arm, seen.scorer), problem_id=problem.problem_id, n=problem.n, c=problem.c)
                for arm in seen.arms
                for problem in seen.tried[arm.arm_id]
            ]

    def problems(self, **filters: Unpack[Filters]) -> list[ProblemRow]:
        """The problems that these arms have drawn, with what is proven of them."""
        with self._seen(filters, intervals=False) as (connection, seen):
            return read_problems(connection, seen.scorer, seen.problems)

    def rollouts(
        self, *, problem: int | None = None, correct: bool | None = None, **filters: Unpack[Filters]
    ) -> list[RolloutText]:
        """The rollouts of these arms with their texts, in order of draws.

        `problem`: only those of this problem_id; `correct`: only the correct or only the wrong ones.
        """
        sql = (
            f"SELECT {', '.join(_TEXT_COLUMNS)} FROM rollout_text WHERE scorer = ?1 AND arm_id = ?2 "
            "AND (?3 IS NULL OR problem_id = ?3) AND (?4 IS NULL OR correct = ?4) ORDER BY draw, problem_id"
        )
        with self._seen(filters, intervals=False) as (connection, seen):
            return [
                _rollout_text(arm, seen.scorer, dict(zip(_TEXT_COLUMNS, row, strict=True)))
                for arm in seen.arms
                for row in query(connection, sql, [seen.scorer, arm.arm_id, problem, correct])[1]
            ]

    def runs(self) -> list[RunRow]:
        """Every invocation that produced rollouts, the oldest first."""
        with self._open() as connection:
            return read_runs(connection)

    def sql(self, select: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of one SELECT over tables and views, `values` in place of its question marks, as named tuples.

        A column whose name is no name in Python gets one that is like it: `count(*)` is `count`. `AS` gives it another.
        """
        with self._open() as connection:
            columns, rows = query(connection, select, values)
        row = namedtuple("Row", _names(columns))  # type: ignore[misc]  # the names are known only now
        return [row._make(cells) for cells in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write and sees one moment of the database."""
        connection = open_database(self.path, snapshot=True)
        try:
            with explained(self.path):
                yield connection
        finally:
            connection.close()

    @contextmanager
    def _seen(
        self, filters: Filters, ks: Sequence[int] = (), *, intervals: bool = True, votes: bool = False
    ) -> Iterator[tuple[sqlite3.Connection, Overview]]:
        with self._open() as connection:
            chosen = replace(_filter(**filters), scorer=scorer_of(connection, filters.get("task"), filters.get("scorer")))
            yield connection, read_overview(connection, chosen, ks, intervals=intervals, votes=votes)


def _filter(
    *,
    task: str | None = None,
    model: str | None = None,
    method: str | Sequence[str] = (),
    value: float | Sequence[float] = (),
    arm: int | Sequence[int] = (),
    scorer: str = Filter.scorer,
) -> Filter:
    return Filter(
        scorer=scorer,
        model=model,
        methods=(method,) if isinstance(method, str) else tuple(method),
        values=_several(value),
        task=task,
        arms=_several(arm),
    )


def _several(given: Number | Sequence[Number]) -> tuple[Number, ...]:
    return tuple(given) if isinstance(given, Sequence) else (given,)


def _keys(by: Key | Sequence[Key]) -> tuple[Key, ...]:
    keys = (by,) if isinstance(by, str) else tuple(by)
    for key in keys:
        if key not in KEYS:
            raise UserError(f"there are no ballots by {key!r}; by is {' or '.join(map(repr, KEYS))}")
    return keys


def _by_arm(connection: sqlite3.Connection, seen: Overview, view: str, columns: str) -> Iterator[tuple[ArmRow, Sequence[Any]]]:
    """Each arm, in its order, with each of its rows in the view, in the view's order."""
    rows: dict[int, list[Sequence[Any]]] = {}
    for arm_id, *row in query(connection, f"SELECT arm_id, {columns} FROM {view} WHERE scorer = ?", [seen.scorer])[1]:
        rows.setdefault(arm_id, []).append(row)
    return ((arm, row) for arm in seen.arms for row in rows.get(arm.arm_id, ()))


def _identity(arm: ArmRow, scorer: str) -> dict[str, Any]:
    """The columns that all rows of an arm begin with."""
    return {
        "arm_id": arm.arm_id,
        "task": arm.task,
        "model": arm.model,
        "method": arm.method,
        "value": arm.value,
        "scorer": scorer,
    }


def _summary(arm: ArmRow, scorer: str) -> ArmSummary:
    return ArmSummary(
        **_identity(arm, scorer),
        model_digest=arm.model_digest,
        problems=arm.problems,
        draws=arm.draws,
        rollouts=arm.rollouts,
        correct=arm.correct,
        problems_solved=arm.problems_solved,
        solvable=arm.solvable,
        unknown=arm.unknown,
        cut_off=arm.cut_off,
        nan=arm.nan,
        mean_tokens=arm.mean_tokens,
        mean_prompt_tokens=arm.mean_prompt_tokens,
        settings=arm.settings,
    )


def _pass_at_k(seen: Overview, arm: ArmRow, k: int) -> PassAtK:
    at, above = arm.at[k], above_chance(arm, seen.tried[arm.arm_id], k)
    low, high = at.interval or (None, None)
    above_low, above_high = (above.interval if above else None) or (None, None)
    return PassAtK(
        **_identity(arm, seen.scorer),
        k=k,
        problems=at.problems,
        pass_at_k=at.pass_at_k,
        stderr=at.stderr,
        low=low,
        high=high,
        doubt=at.interval.doubt if at.interval else "1 model",
        chance=at.chance,
        above_chance=above.difference if above else None,
        above_chance_low=above_low,
        above_chance_high=above_high,
    )


def _vote_at_k(arm: ArmRow, scorer: str, key: Key, vote: VoteAt) -> VoteAtK:
    low, high = vote.interval or (None, None)
    return VoteAtK(
        **_identity(arm, scorer),
        k=vote.k,
        by=key,
        problems=vote.problems,
        vote_at_k=vote.vote_at_k,
        low=low,
        high=high,
        doubt=vote.interval.doubt if vote.interval else "1 block of models",
    )


def _draw_accuracy(arm: ArmRow, scorer: str, row: Sequence[Any]) -> DrawAccuracy:
    draw, seed, problems, correct, accuracy, reward = row
    low, high = _of_shares(accuracy, problems)
    return DrawAccuracy(
        **_identity(arm, scorer),
        draw=draw,
        seed=seed,
        problems=problems,
        correct=correct,
        accuracy=accuracy,
        low=low,
        high=high,
        reward=reward,
    )


def _cover_at_tau(arm: ArmRow, scorer: str, row: Sequence[Any]) -> CoverAtTau:
    tau, problems, cover, chance = row
    low, high = (None, None) if arm.shares_draws else _of_shares(cover, problems)
    return CoverAtTau(**_identity(arm, scorer), tau=tau, problems=problems, cover_at_tau=cover, low=low, high=high, chance=chance)


def _of_shares(share: float, problems: int) -> tuple[float, float]:
    """The 95% interval of the share of problems of which something is true."""
    variance = share * (1 - share) / (problems - 1) if problems > 1 else None
    low, high = share_interval(share, variance, problems) or (0.0, 1.0)
    return low, high


def _rollout_text(arm: ArmRow, scorer: str, row: dict[str, Any]) -> RolloutText:
    row["payload"] = json.loads(row["payload"])
    row["correct"] = bool(row["correct"])
    return RolloutText(**_identity(arm, scorer), **row)


def _names(columns: Sequence[str]) -> list[str]:
    """Names for the fields of a named tuple, each as like the column's as Python allows, and no two the same."""
    names: list[str] = []
    for place, column in enumerate(columns):
        name = re.sub(r"\W+", "_", column, flags=re.ASCII).strip("_")
        if not name.isidentifier() or iskeyword(name) or name in names:
            name = f"column_{place}" if not name or name in names else f"column_{name}"
        names.append(name)
    return names
