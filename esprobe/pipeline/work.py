"""A unit of the plan on its way: `ask` makes the batch that an engine does, `answer` the rows with their verdicts.

Knows what a unit's generations are for. Must not know in what order units are done, nor what an engine or the database is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from esprobe.arms import TRUNCATIONS
from esprobe.engines.backend import Decoding, Generation
from esprobe.engines.engine import Batch
from esprobe.pipeline.judge import judge
from esprobe.plan.sweep import Unit
from esprobe.store.store import RolloutRow
from esprobe.tasks.base import Problem, Task
from esprobe.tasks.texts import texts


@dataclass(frozen=True)
class Setting:
    """What all units of a sweep share: the problems with their prompts, and how token ids become text."""

    task: Task
    problems: Sequence[Problem]
    prompts: Sequence[Sequence[int]]  # token ids, one prompt for each problem
    digests: Sequence[str]  # of the prompts
    tokenizer: Any
    end_ids: frozenset[int]

    def only(self, positions: Sequence[int]) -> "Setting":
        """The same with some of the problems, in this order."""
        return replace(
            self,
            problems=[self.problems[i] for i in positions],
            prompts=[self.prompts[i] for i in positions],
            digests=[self.digests[i] for i in positions],
        )


def ask(setting: Setting, unit: Unit) -> Batch:
    """The whole unit, even if only a part of it is wanted, so that a continued sweep repeats the same batches."""
    arm, cells = unit.arm.arm, unit.cells()
    decoding = Decoding(int(arm.settings["max_new_tokens"]))
    if arm.temperature:
        keys = tuple(arm.rollout_key(draw, setting.problems[i].digest) for draw, i in cells)
        truncation = {name: arm.settings[name] for name in TRUNCATIONS if name in arm.settings}
        decoding = Decoding(decoding.max_new_tokens, arm.temperature, keys, **truncation)
    return Batch(unit.weights, [setting.prompts[i] for _, i in cells], decoding, unit.measure)


def answer(setting: Setting, ids: Sequence[int], unit: Unit, generations: Sequence[Generation]) -> list[RolloutRow]:
    """What is wanted of the unit, as text with its verdict by the task's own scorer. `ids`: rows of the problems."""
    found = [(cell, g) for cell, g in zip(unit.cells(), generations, strict=True) if cell in unit.wanted]
    prompts = [setting.prompts[i] for (_, i), _ in found]
    decoded = texts(setting.tokenizer, prompts, [g.ids for _, g in found], setting.end_ids)
    payloads = [setting.problems[i].payload for (_, i), _ in found]
    verdicts = judge(setting.task.scorers[setting.task.default_scorer], zip(payloads, decoded, strict=True))
    return [
        RolloutRow(
            draw=draw,
            problem_id=ids[i],
            text=text,
            tokens=len(g.ids),
            finish=g.finish,
            score=verdict,
            prompt_tokens=len(setting.prompts[i]),
        )
        for ((draw, i), g), text, verdict in zip(found, decoded, verdicts, strict=True)
    ]
