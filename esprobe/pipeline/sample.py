"""Runs a sweep: plan → engines → scorer → store, one unit at a time. The database is the state; there is no separate resume.

Knows the order of things. Must not know how any of them is done.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from esprobe.engines.models import find_model
from esprobe.engines.open import open_pool
from esprobe.engines.pool import Pool
from esprobe.errors import UserError
from esprobe.pipeline.meter import Meter
from esprobe.pipeline.origin import Origin, add_shipped, origin
from esprobe.pipeline.prepare import Prepared, prepare
from esprobe.pipeline.session import session
from esprobe.plan.sweep import Sweep
from esprobe.store.store import Store
from esprobe.store.trained import add_foreign


@dataclass(frozen=True)
class Outcome:
    """What a sweep did: rollouts asked for, and how many of them it has generated and written."""

    asked: int
    generated: int


@dataclass(frozen=True)
class Elsewhere:
    """What the user says of a checkpoint: the model that it was trained from, by name, and how many rollouts that took."""

    trained_from: str
    rollouts_spent: int


def elsewhere(trained_from: str | None, rollouts_spent: int | None) -> Elsewhere | None:
    """What two options say of the model; None without them. Raises UserError where one is missing."""
    if trained_from is None and rollouts_spent is None:
        return None
    if trained_from is None or rollouts_spent is None:
        raise UserError(
            "--trained-from and --rollouts-spent belong together: what a checkpoint was trained from, and at what cost"
        )
    return Elsewhere(trained_from, rollouts_spent)


def sample(
    sweep: Sweep, db: Path, command: str, meter: Meter, pool: Pool | None = None, checkpoint: Elsewhere | None = None
) -> Outcome:
    """Generates every rollout of the sweep that the database lacks, scored, in transactions of one unit each.

    `command` is noted with the run; `pool` runs the engines, one in this process without it. `checkpoint`: the sweep's model was
    trained elsewhere, which its row will say. Raises UserError, and leaves no row of a model that cannot be run. On
    KeyboardInterrupt what was finished is kept and the run is marked.
    """
    pool = pool or open_pool(1)
    made = origin(db, sweep.model)
    prepared = of_origin(sweep, pool, made)
    setting, spec = prepared.setting, prepared.engine
    add_parents = _parents(checkpoint, made, prepared)
    with session(db, pool, spec, command, meter) as opened:
        lacking = opened.lacking(setting, prepared.arms)
        asked, total = sum(arm.draws for arm in prepared.arms) * len(setting.problems), sum(lacking.values())
        if not total:
            add_parents(opened.store)  # what was sampled before its origin was told
            return Outcome(asked, 0)
        meter.say(f"{sweep.model}: {total:,} of {asked:,} rollouts to generate ({spec.backend}, {spec.dtype})")
        opened.begin(setting, total)
        add_parents(opened.store)
        return Outcome(asked, opened.generate(setting, lacking, sweep.batch_size))


def _parents(checkpoint: Elsewhere | None, made: Origin | None, prepared: Prepared) -> Callable[[Store], None]:
    """What adds the rows of the models that the sweep's comes from, where this database did not train it. Raises UserError."""
    if checkpoint is None:
        return lambda store: add_shipped(store, made) if made else None
    if made is not None:
        raise UserError(f"{made.name} was trained by esprobe, which knows from what and at what cost; leave out --trained-from")
    model, base = prepared.engine.model, find_model(checkpoint.trained_from)
    if model.digest == base.digest:
        raise UserError(f"{model.name} is {base.name} itself, file by file; --trained-from names the model before its training")
    record = {"training": {"rollouts_spent": checkpoint.rollouts_spent}}

    def add(store: Store) -> None:
        add_foreign(store, (base.digest, base.name), [(model.digest, model.name, record)])
        store.place_model(base.digest, base.told)

    return add


def of_origin(sweep: Sweep, pool: Pool, trained: Origin | None) -> Prepared:
    """See `prepare`; of a trained model where there is one, else of the sweep's."""
    if trained is None:
        return prepare(sweep, pool)
    if sweep.model_name is not None:
        raise UserError(f"--name {sweep.model_name}: only the model of a folder is given a name; {trained.name} has one")
    prepared = prepare(sweep, pool, trained.files())
    return replace(prepared, engine=replace(prepared.engine, trained=True), arms=trained.arms(prepared.arms))
