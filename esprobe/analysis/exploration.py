"""What the page to explore results shows besides texts: arms, their votes, problems, how often each was solved, the first pair,
trainings, and where all of it comes from.

Reads the views and the table `problem`. Knows nothing of pages, nor of what a payload means.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from esprobe.analysis.against_base import with_base
from esprobe.analysis.arms import ArmRow, Filter
from esprobe.analysis.best import Counts, choose, of_models, share
from esprobe.analysis.few import ChosenRollout, few_rollouts
from esprobe.analysis.overview import Overview, read_overview
from esprobe.analysis.plotted import differences, models_that_solve
from esprobe.analysis.problems import ProblemRow, read_problems
from esprobe.analysis.runs import Origin, read_origin
from esprobe.analysis.trainings import Trainings, read_trainings
from esprobe.analysis.verdicts import read_firsts
from esprobe.analysis.votes import ArmVotes, Key
from esprobe.errors import UserError
from esprobe.stats.paired import Difference
from esprobe.tasks.registry import find_task


class Tries(NamedTuple):
    """Draws, correct draws, and the place of the first correct one from 0, None where there is none."""

    n: int
    c: int
    first: int | None


class Prompt(NamedTuple):
    """What a model is asked for one problem: the texts of the messages, before any chat template, and how the answer begins."""

    problem_id: int
    messages: list[str]
    prefill: str


class Pair(NamedTuple):
    """The places of two arms, the same twice if there is one arm, and their differences by k; none without shared problems."""

    first: int
    second: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Exploration:
    """Everything of one scorer. `cells[arm][problem]`, by their places here, is None where the arm never drew the problem.

    `votes`: by arm; `ballots`: the kinds that there are. `pairs`: what the page says something of, the two arms to open with and
    then the pairs of other models. `prompt`: one problem as its task asks it, None where the arms were asked in other words.
    The connection stays open for the texts.
    """

    connection: sqlite3.Connection
    scorer: str
    arms: tuple[ArmRow, ...]
    votes: Mapping[int, ArmVotes]
    ballots: tuple[Key, ...]
    problems: list[ProblemRow]
    cells: list[list[Tries | None]]
    pairs: tuple[Pair, ...]
    trainings: Trainings
    origin: Origin
    prompt: Prompt | None

    @property
    def models(self) -> set[str]:
        """The digests of the arms' models."""
        return {arm.model_digest for arm in self.arms}

    @property
    def rollouts(self) -> int:
        """How many there are of all arms."""
        return sum(arm.rollouts for arm in self.arms)

    def few_rollouts(self, most: int) -> Iterator[ChosenRollout]:
        """At most so many of each arm × problem, with their texts; see `few`."""
        return few_rollouts(self.connection, self.scorer, [arm.arm_id for arm in self.arms], most)


def read_exploration(connection: sqlite3.Connection, chosen: Filter) -> Exploration:
    """The arms that pass the filter, and their problems. Raises UserError if there are none."""
    scorer = chosen.scorer
    seen = read_overview(connection, chosen, votes=True)
    problems = read_problems(connection, scorer, seen.problems)
    pairs = [
        Pair(*pair, _differences(connection, seen, [seen.arms[i] for i in pair])) for pair in pairs_of(seen.arms, seen.counts)
    ]
    return Exploration(
        connection=connection,
        scorer=scorer,
        arms=seen.arms,
        votes=seen.votes,
        ballots=seen.ballots,
        problems=problems,
        cells=_cells(seen, read_firsts(connection, scorer), problems),
        pairs=tuple(pairs),
        trainings=read_trainings(connection, chosen),
        origin=read_origin(connection),
        prompt=_prompt(seen.arms, problems),
    )


def _differences(connection: sqlite3.Connection, seen: Overview, pair: Sequence[ArmRow]) -> tuple[Difference, ...]:
    """First − second at k = 1, 2, 4, … and as many draws as both have; nothing of one arm alone, or without shared problems."""
    first, second = pair
    shared = None if first is second else share(seen.counts[first.arm_id], seen.counts[second.arm_id])
    if shared is None:
        return ()
    solved_by = {arm.arm_id: models_that_solve(connection, seen.scorer, arm) for arm in pair if arm.shares_draws}
    return differences(seen.tried, pair, shared, solved_by)


def _prompt(arms: Sequence[ArmRow], problems: Sequence[ProblemRow]) -> Prompt | None:
    """The first problem, where the arms have the wording that its task has today."""
    task = find_task(problems[0].task)
    if task is None or {arm.settings.get("prompt_digest") for arm in arms} != {task.prompt_digest()}:
        return None
    messages = [message["content"] for message in task.messages(problems[0].payload)]
    return Prompt(problem_id=problems[0].problem_id, messages=messages, prefill=task.prefill)


def _cells(seen: Overview, firsts: Mapping[int, Mapping[int, int]], problems: Sequence[ProblemRow]) -> list[list[Tries | None]]:
    def tries(arm: ArmRow, problem_id: int) -> Tries | None:
        cell = seen.counts[arm.arm_id].get(problem_id)
        return None if cell is None else Tries(cell.n, cell.c, firsts.get(arm.arm_id, {}).get(problem_id))

    return [[tries(arm, problem.problem_id) for problem in problems] for arm in seen.arms]


def pairs_of(arms: Sequence[ArmRow], solved: Mapping[int, Counts]) -> list[tuple[int, int]]:
    """Places of the pairs of arms to say something of: the best temperature and the best perturbation arm of each model that has
    both, and the last trained model and its base by arms that are alike.

    Without any of these, the best arm of any method and another of its model; without that, any two that share problems.
    """
    choices = [choice for group in of_models(arms) if (choice := choose(group, solved))]
    places = {arm.arm_id: i for i, arm in enumerate(arms)}
    pairs = [(places[choice.best[0]], places[choice.best[1]]) for choice in choices if len(choice.best) == 2]
    if against := _against_base(arms):
        pairs.append((places[against[0].arm_id], places[against[1].arm_id]))
    if pairs:
        return pairs
    first = choices[0].best[0] if choices else max(arms, key=lambda arm: arm.at[arm.draws].pass_at_k).arm_id
    others = [arm for arm in arms if arm.arm_id != first]
    mine = arms[places[first]]
    others.sort(key=lambda arm: (share(solved[first], solved[arm.arm_id]) is None, arm.model_digest != mine.model_digest))
    return [(places[first], places[others[0].arm_id] if others else places[first])]


def _against_base(arms: Sequence[ArmRow]) -> tuple[ArmRow, ArmRow] | None:
    """The trained model with most steps and its base, by their arms with most draws; None where no arms of theirs are alike."""
    last = max(arms, key=lambda arm: arm.steps)
    try:
        return max(with_base(arms, last.model), key=lambda pair: min(arm.draws for arm in pair))
    except UserError:
        return None
