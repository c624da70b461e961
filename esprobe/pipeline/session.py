"""One invocation that generates: its database, its engines, its row in the table of runs.

Engines are opened and the run begins when there is first something to generate. Knows the order of things and nothing of how any
of them is done.
"""

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from esprobe.engines.engine import EngineSpec
from esprobe.engines.pool import Pool
from esprobe.pipeline import process
from esprobe.pipeline.lacking import count_lacking, lacking_units
from esprobe.pipeline.machine import versions
from esprobe.pipeline.meter import Meter
from esprobe.pipeline.work import Setting, ask
from esprobe.pipeline.writer import Writer, behind
from esprobe.plan.sweep import PlannedArm, Unit
from esprobe.store.store import Store


class Session:
    """See the module's docstring; made by `session`."""

    def __init__(self, store: Store, pool: Pool, spec: EngineSpec, command: str, meter: Meter, ends: ExitStack) -> None:
        """`command` is noted with the run; `ends` is told how the invocation ends."""
        self.store, self.pool, self.spec, self.command, self.meter = store, pool, spec, command, meter
        self._ends = ends
        self._run_id: int | None = None

    def lacking(self, setting: Setting, arms: Sequence[PlannedArm]) -> dict[PlannedArm, int]:
        """How many rollouts each arm lacks. Raises UserError where its others were made with another prompt."""
        return count_lacking(self.store, setting, arms)

    def begin(self, setting: Setting, pieces: int) -> None:
        """Opens the engines, at most one for each of so many pieces of work, and begins the run, unless both are done.

        `pieces`: of whatever this session will generate at once. Raises UserError, and leaves no row of a model that cannot be
        run.
        """
        if self._run_id is not None:
            return
        if note := self.spec.model.end_note(setting.tokenizer):
            self.meter.say(note)
        self.meter.say("loading the weights …")
        self.pool.open(self.spec, self.meter.say, pieces)
        self._run_id = self.store.start_run(self.command, versions(), {"platform": platform.platform(), **process.identity()})
        self._ends.enter_context(self.store.ending(self._run_id))
        self.store.add_model(self.spec.model.digest, self.spec.model.name)
        self.store.place_model(self.spec.model.digest, self.spec.model.told)

    def add_problems(self, setting: Setting) -> None:
        """Adds the problems that the database lacks, with what the task proves of them."""
        unknown = self.store.unknown_problems(setting.problems)
        self.store.add_problems([(problem, setting.task.facts(problem)) for problem in unknown])

    def generate(
        self,
        setting: Setting,
        lacking: dict[PlannedArm, int],
        batch_size: int,
        meter: Meter | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> int:
        """Does what the arms lack: the engines unit by unit, and behind them the writer. Returns how many rollouts were new.

        `begin` comes first. `meter` follows this work alone, the session's own without it. `meanwhile` is called once, when the
        last unit has been handed out: engines in other processes are still at work.
        """
        assert self._run_id is not None
        self.add_problems(setting)
        writer = Writer(self.store, self._run_id, setting, lacking, meter or self.meter)
        arms = [arm for arm, count in lacking.items() if count]

        def work() -> Iterator[Unit]:
            for planned in arms:
                yield from lacking_units(self.store, writer.ids, planned, batch_size)
            meanwhile()

        with behind() as put, self.store.interruptible():
            for unit, done in self.pool.run(work(), partial(ask, setting), writer.note):
                put(writer.write, unit, done)
        writer.note_alike()
        return writer.new


@contextmanager
def session(db: Path, pool: Pool, spec: EngineSpec, command: str, meter: Meter) -> Iterator[Session]:
    """Opens the database, and at the end closes it and the engines, and notes how the run ended."""
    store = Store(db)
    try:
        store.mark_killed(process.is_gone)
        store.place_model(spec.model.digest, spec.model.told)  # it may have moved, or been named
        if note := spec.model.twin_note:
            meter.say(note)
        with ExitStack() as ends:
            yield Session(store, pool, spec, command, meter, ends)
    finally:
        pool.close()
        store.close()
