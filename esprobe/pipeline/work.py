"""A unit of the plan on its way: to an engine as a batch of token ids, and back as rows with their verdicts.

Knows what a unit's generations are for. Must not know in what order units are done, nor what an engine or the database is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from esprobe.arms import Weights
from esprobe.engines.backend import Decoding, Generation
from esprobe.engines.engine import Batch
from esprobe.methods import TEMPERATURE
from esprobe.plan.sweep import PlannedArm, Unit
from esprobe.store.store import RolloutRow
from esprobe.tasks.base import Problem, Task
from esprobe.tasks.texts import texts


@dataclass(frozen=True)
class Setting:
    """What all units of a sweep share: the problems with their rows and prompts, and how token ids become text."""

    task: Task
    problems: Sequence[Problem]
    ids: Sequence[int]  # rows of the problems
    prompts: Sequence[Sequence[int]]  # token ids, one prompt for each problem
    digests: Sequence[str]  # of the prompts
    tokenizer: Any
    end_ids: frozenset[int]


@dataclass(frozen=True, eq=False)
class Work:
    """A unit of an arm, of which the rollouts `lacking` are wanted; see `pool.Work`."""

    setting: Setting
    arm: PlannedArm
    unit: Unit
    lacking: set[tuple[int, int]]  # (draw, position of the problem)
    measure: bool  # what rounding leaves of the perturbation
    begin: Callable[[PlannedArm], object]  # called when an engine takes it

    @property
    def weights(self) -> Weights:
        """The weights it wants; no unit spans two draws of a perturbation arm."""
        return self.arm.weights(self.unit.draws.start)

    def batch(self) -> Batch:
        """The whole unit, even if only a part of it is lacking, so that a continued sweep repeats the same batches."""
        self.begin(self.arm)
        arm, cells = self.arm.arm, self.unit.cells()
        decoding = Decoding(int(arm.settings["max_new_tokens"]))
        if arm.method == TEMPERATURE.name:
            keys = tuple(arm.rollout_key(draw, self.setting.problems[i].digest) for draw, i in cells)
            decoding = Decoding(decoding.max_new_tokens, float(arm.value or 0.0), keys)
        return Batch(self.weights, [self.setting.prompts[i] for _, i in cells], decoding, self.measure)

    def rows(self, generations: Sequence[Generation]) -> list[RolloutRow]:
        """What is lacking, as text with its verdict."""
        setting = self.setting
        scorer = setting.task.scorers[setting.task.default_scorer]
        found = [(cell, g) for cell, g in zip(self.unit.cells(), generations, strict=True) if cell in self.lacking]
        prompts = [setting.prompts[i] for (_, i), _ in found]
        decoded = texts(setting.tokenizer, prompts, [g.ids for _, g in found], setting.end_ids)
        return [
            RolloutRow(
                draw=draw,
                problem_id=setting.ids[i],
                text=text,
                tokens=len(g.ids),
                finish=g.finish,
                score=scorer(setting.problems[i].payload, text),
                prompt_tokens=len(setting.prompts[i]),
            )
            for ((draw, i), g), text in zip(found, decoded, strict=True)
        ]


class Alike:
    """Notices whether all draws of an arm give the texts of its first ones."""

    def __init__(self) -> None:
        self.first: dict[int, str] | None = {}  # problem → its first text; None once a draw differed
        self.repeated = False

    def add(self, rows: Sequence[RolloutRow]) -> None:
        """Looks at rollouts of the arm."""
        for row in rows:
            if self.first is None:
                return
            known = self.first.setdefault(row.problem_id, row.text)
            if known is not row.text:
                self.repeated = True
                if known != row.text:
                    self.first = None

    @property
    def told(self) -> bool:
        """Whether there were several draws, and all alike."""
        return self.repeated and self.first is not None
