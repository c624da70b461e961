"""Writes finished units, one transaction each, in a thread of its own, so that the engines need not wait for it.

Knows rows and the store; not what made the rows.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from esprobe.engines.engine import Done
from esprobe.errors import UserError
from esprobe.pipeline.meter import Meter
from esprobe.pipeline.work import Setting, answer
from esprobe.plan.sweep import PlannedArm, Unit
from esprobe.store.store import RolloutRow, Store

WAITING = 4  # finished units that may wait to be written before the engines wait too


class Writer:
    """Of one run. `new`: how many rollouts were new when they were written."""

    def __init__(self, store: Store, run_id: int, setting: Setting, lacking: Mapping[PlannedArm, int], meter: Meter) -> None:
        """`lacking`: how many rollouts each arm lacks, for the meter; no two arms of a sweep have one label."""
        self.store, self.run_id, self.setting, self.meter = store, run_id, setting, meter
        self.ids = store.problem_ids(setting.problems)
        self.new = 0
        self._advance = meter.start({planned.arm.label: count for planned, count in lacking.items() if count}, "rollouts")
        self._noted: dict[PlannedArm, set[int]] = defaultdict(set)  # problems whose prompts are in the database as they are here
        self._alike: dict[PlannedArm, Alike] = defaultdict(Alike)

    def note(self, line: str) -> None:
        """A line for the user and for the run's row."""
        self.meter.say(line)
        self.store.note(self.run_id, line)

    def write(self, unit: Unit, done: Done) -> None:
        """What is wanted of the unit, with its verdicts. Raises UserError where another process has asked another prompt."""
        rows = answer(self.setting, self.ids, unit, done.generations)
        models = {draw: made for draw in {row.draw for row in rows} if (made := unit.arm.perturbation(draw))}
        seeds, sigmas = {i: made.seed for i, made in models.items()}, {i: made.sigma for i, made in models.items()}
        with self.store.at_once():
            arm_id = self.store.arm_id(unit.arm.arm)
            self._write_prompts(unit, arm_id)
            self.new += self.store.save(arm_id, self.run_id, self.setting.task.default_scorer, rows, seeds, sigmas)
            if done.rounding is not None:
                groups = {name: asdict(group) for name, group in done.rounding.items()}
                self.store.set_rounding(arm_id, {"groups": groups})
        self._alike[unit.arm].add(rows)
        self._advance(unit.arm.arm.label, len(rows))

    def _write_prompts(self, unit: Unit, arm_id: int) -> None:
        asked = {self.ids[i]: self.setting.digests[i] for _, i in unit.wanted}
        if asked.keys() <= self._noted[unit.arm]:
            return
        self.store.add_prompts(arm_id, asked)
        if not asked.items() <= self.store.prompts(arm_id).items():
            raise UserError(f"{unit.arm.arm.label}: another process has just sampled it with another prompt; use another --db")
        self._noted[unit.arm] |= asked.keys()

    def note_alike(self) -> None:
        """Notes the arms whose draws were all alike."""
        for planned, draws in self._alike.items():
            if draws.told:
                self.note(f"{planned.arm.label}: on every problem all draws gave the same text, as greedy decoding does")


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


@contextmanager
def behind() -> Iterator[Callable[..., None]]:
    """A function that makes calls in another thread, in order, so that the engines need not wait for them.

    A call's error is raised at a later one, or at the end. Calls that were handed over are made, however the work inside ends.
    """
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1, "writer") as thread:
        thread.submit(int).result()  # starts it: once memory is short, there may be none for a thread

        def put(call: Callable[..., None], *values: Any) -> None:
            while waiting and (len(waiting) > WAITING or waiting[0].done()):
                waiting.popleft().result()
            waiting.append(thread.submit(call, *values))

        yield put
        for future in waiting:
            future.result()
