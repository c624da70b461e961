"""Runs a sweep: plan → engines → scorer → store, one unit at a time. The database is the state; there is no separate resume.

Knows the order of things. Must not know how any of them is done.
"""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from esprobe.engines.open import open_pool
from esprobe.engines.pool import Pool
from esprobe.pipeline import process
from esprobe.pipeline.lacking import count_lacking, lacking_units
from esprobe.pipeline.machine import versions
from esprobe.pipeline.meter import Meter
from esprobe.pipeline.prepare import Prepared, prepare
from esprobe.pipeline.work import ask
from esprobe.pipeline.writer import Writer, behind
from esprobe.plan.sweep import PlannedArm, Sweep, Unit
from esprobe.store.store import Store


@dataclass(frozen=True)
class Outcome:
    """What a sweep did: rollouts asked for, and how many of them it has generated and written."""

    asked: int
    generated: int


def sample(sweep: Sweep, db: Path, command: str, meter: Meter, pool: Pool | None = None) -> Outcome:
    """Generates every rollout of the sweep that the database lacks, scored, in transactions of one unit each.

    `command` is noted with the run; `pool` runs the engines, one in this process without it. Raises UserError, and leaves no row
    of a model that cannot be run. On KeyboardInterrupt what was finished is kept and the run is marked.
    """
    pool = pool or open_pool(1)
    prepared = prepare(sweep, pool)
    setting = prepared.setting
    store = Store(db)
    try:
        store.mark_killed(process.is_gone)
        lacking = count_lacking(store, setting, prepared.arms)
        asked, total = sum(arm.draws for arm in prepared.arms) * len(setting.problems), sum(lacking.values())
        if not total:
            return Outcome(asked, 0)
        _open_engines(prepared, pool, meter, total, asked)
        store.add_problems([(problem, setting.task.facts(problem)) for problem in store.unknown_problems(setting.problems)])
        run_id = store.start_run(command, versions(), {"platform": platform.platform(), **process.identity()})
        with store.ending(run_id):
            writer = Writer(store, run_id, setting, lacking, meter)
            _generate(writer, pool, sweep.batch_size, [arm for arm, count in lacking.items() if count])
            return Outcome(asked, writer.new)
    finally:
        pool.close()
        store.close()


def _open_engines(prepared: Prepared, pool: Pool, meter: Meter, lacking: int, asked: int) -> None:
    spec = prepared.engine
    meter.say(f"{spec.model.name}: {lacking:,} of {asked:,} rollouts to generate ({spec.backend}, {spec.dtype})")
    if line := spec.model.end_note(prepared.setting.tokenizer):
        meter.say(line)
    pool.open(spec, meter.say, lacking)


def _generate(writer: Writer, pool: Pool, batch_size: int, arms: list[PlannedArm]) -> None:
    """Does what the arms lack: the engines unit by unit, and behind them the writer."""

    def work() -> Iterator[Unit]:
        for planned in arms:
            writer.progress(planned)
            yield from lacking_units(writer.store, writer.ids, planned, batch_size)

    with behind() as put, writer.store.interruptible():
        for unit, done in pool.run(work(), partial(ask, writer.setting), writer.note):
            put(writer.write, unit, done)
    writer.note_alike()
