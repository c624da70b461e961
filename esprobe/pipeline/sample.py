"""Runs a sweep: plan → engines → scorer → store, one unit at a time. The database is the state; there is no separate resume.

Knows the order of things. Must not know how any of them is done.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from esprobe.engines.open import open_pool
from esprobe.engines.pool import Pool
from esprobe.pipeline.meter import Meter
from esprobe.pipeline.origin import Origin, origin
from esprobe.pipeline.prepare import Prepared, prepare
from esprobe.pipeline.session import session
from esprobe.plan.sweep import Sweep


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
    prepared = of_origin(sweep, pool, origin(db, sweep.model))
    setting, spec = prepared.setting, prepared.engine
    with session(db, pool, spec, command, meter) as opened:
        lacking = opened.lacking(setting, prepared.arms)
        asked, total = sum(arm.draws for arm in prepared.arms) * len(setting.problems), sum(lacking.values())
        if not total:
            return Outcome(asked, 0)
        meter.say(f"{sweep.model}: {total:,} of {asked:,} rollouts to generate ({spec.backend}, {spec.dtype})")
        opened.begin(setting, total)
        return Outcome(asked, opened.generate(setting, lacking, sweep.batch_size))


def of_origin(sweep: Sweep, pool: Pool, trained: Origin | None) -> Prepared:
    """See `prepare`; of a trained model where there is one, else of the sweep's."""
    if trained is None:
        return prepare(sweep, pool)
    prepared = prepare(replace(sweep, model=trained.root), pool)
    trained.check(prepared.engine.model.digest)
    return replace(prepared, engine=replace(prepared.engine, trained=True), arms=trained.arms(prepared.arms))
