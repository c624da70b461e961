"""What a sweep lacks in the database: how many rollouts of each arm, and the units that contain them.

Knows the plan and what the store has. Must not know how anything is generated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from esprobe.errors import UserError
from esprobe.pipeline.machine import changed_rendering
from esprobe.pipeline.work import Setting
from esprobe.plan.sweep import PlannedArm, Unit, units
from esprobe.store.store import Store

READ_TOGETHER = 65_536  # rollouts of an arm that are looked up at once


def count_lacking(store: Store, setting: Setting, arms: Sequence[PlannedArm]) -> dict[PlannedArm, int]:
    """How many rollouts each arm lacks. Raises UserError where stored ones were made with another prompt of the same problem."""
    ids = store.known_problems(setting.problems)
    found = {}
    for planned in arms:
        arm_id = store.find_arm(planned.arm.digest)
        there = store.counts(arm_id, planned.draws) if arm_id is not None else {}
        found[planned] = planned.draws * len(setting.problems) - sum(there.get(i, 0) for i in ids.values())
        if arm_id is not None:
            _check_prompts(store, setting, planned, arm_id, ids)
    return found


def _check_prompts(store: Store, setting: Setting, planned: PlannedArm, arm_id: int, ids: dict[str, int]) -> None:
    stored = store.prompts(arm_id)
    for problem, digest in zip(setting.problems, setting.digests, strict=True):
        if stored.get(ids.get(problem.digest, -1), digest) != digest:
            raise UserError(
                f"problem {problem.canonical[:100]}: its prompt is not the one that {planned.arm.label} was asked before "
                f"({changed_rendering(store.versions(arm_id))}); go back to what was installed then, or begin another --db"
            )


def lacking_units(store: Store, ids: Sequence[int], planned: PlannedArm, batch_size: int) -> Iterator[Unit]:
    """The units of an arm with rollouts that it lacks, looked up by stretches of draws. `ids`: rows of the problems."""
    stretch = max(1, READ_TOGETHER // len(ids))
    for _, block in groupby(units(planned, len(ids), batch_size), lambda unit: unit.draws.start // stretch):
        cut = list(block)
        arm_id = store.find_arm(planned.arm.digest)
        done = store.done(arm_id, range(cut[0].draws.start, cut[-1].draws.stop)) if arm_id is not None else set()
        for unit in cut:
            wanted = {(draw, i) for draw, i in unit.cells() if draw < planned.draws and (draw, ids[i]) not in done}
            if wanted:
                first = unit.problems.start == 0 and unit.draws.start == planned.measured
                measure = first and (arm_id is None or store.rounding(arm_id) is None)
                yield replace(unit, wanted=frozenset(wanted), measure=measure)
