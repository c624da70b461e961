"""What a sweep or a training would generate: its arms, what the database has of them, what the others would take. Writes nothing.

Knows plans and rows; opens no engine.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

from esprobe.engines.pool import Pool
from esprobe.pipeline.lacking import count_lacking
from esprobe.pipeline.origin import Origin, of_trained, origin
from esprobe.pipeline.prepare import Prepared
from esprobe.pipeline.sample import of_origin
from esprobe.pipeline.train import Evaluation, check_same, iteration_arm, root_of
from esprobe.pipeline.work import Setting
from esprobe.plan.outlook import ArmOutlook, Outlook
from esprobe.plan.sweep import PlannedArm, Sweep
from esprobe.plan.training import Training
from esprobe.store import schema
from esprobe.store.glance import Glance
from esprobe.store.store import Store
from esprobe.store.trained import find_trained


def outlook(sweep: Sweep, db: Path, pool: Pool) -> Outlook:
    """What `sample` would do with this sweep. Raises UserError as it would."""
    prepared = of_origin(sweep, pool, origin(db, sweep.model, Glance))
    with _glance(db) as store:
        lacking = _lacking(store, prepared.setting, prepared.arms)
        problems = len(prepared.setting.problems)
        arms = [ArmOutlook(arm.arm.label, arm.draws * problems, count) for arm, count in zip(prepared.arms, lacking, strict=True)]
        return _outlook(prepared, arms, prepared.arms[0].arm.model_digest, store)


def train_outlook(
    trainings: Sequence[Training], sweep: Sweep, db: Path, pool: Pool, evaluation: Evaluation | None = None
) -> Outlook:
    """What `train_all` would do. Raises UserError as it would."""
    root = origin(db, sweep.model, Glance)
    prepared = of_origin(sweep, pool, root)
    tests = of_origin(evaluation.sweep, pool, root) if evaluation else None
    with _glance(db) as store:
        parts = []
        for i, training in enumerate(trainings):
            line = _models(store, training, prepared, root or root_of(prepared))
            parts.append(_iterations(store, training, prepared, line))
            if evaluation and tests:
                parts.append(_evaluations(store, training, evaluation, tests, line, root=i == 0))
        found = _outlook(prepared, parts, (root or root_of(prepared)).root_digest, store)
        return replace(found, unevaluated=evaluation is None)


def _models(store: Store | None, training: Training, prepared: Prepared, root: Origin) -> list[Origin]:
    """The root and the training's models that are in the database, in order. Raises UserError where another training made one."""
    line = [root]
    for iteration, batch in enumerate(_batches(training, prepared)):
        made = find_trained(store, training.model(iteration + 1)) if store else None
        if made is None:
            break
        check_same(training, made, iteration_arm(training, prepared, line[-1], iteration, batch))
        line.append(of_trained(made))
    return line


def _batches(training: Training, prepared: Prepared) -> Iterator[list[int]]:
    return islice(training.batches(len(prepared.setting.problems)), training.iterations)


def _iterations(store: Store | None, training: Training, prepared: Prepared, line: Sequence[Origin]) -> ArmOutlook:
    done = len(line) - 1
    lacking = (training.iterations - done) * training.rollouts
    if done < training.iterations:  # the next one may have begun
        batch = next(islice(_batches(training, prepared), done, None))
        planned = iteration_arm(training, prepared, line[-1], done, batch)
        lacking -= training.rollouts - sum(_lacking(store, prepared.setting.only(batch), [planned]))
    return ArmOutlook(f"{training.name}: {training.iterations:,} iterations", training.iterations * training.rollouts, lacking)


def _evaluations(
    store: Store | None, training: Training, evaluation: Evaluation, tests: Prepared, line: Sequence[Origin], *, root: bool
) -> ArmOutlook:
    """With the root or without it, which several trainings share."""
    due = {i for i in range(0 if root else 1, training.iterations) if evaluation.due(i)} | {training.iterations}
    each = sum(arm.draws for arm in tests.arms) * len(tests.setting.problems)
    lacking = each * sum(i >= len(line) for i in due)
    for model in (line[i] for i in due if i < len(line)):
        lacking += sum(_lacking(store, tests.setting, model.arms(tests.arms)))
    return ArmOutlook(f"{training.name}: {len(due):,} models evaluated", each * len(due), lacking)


@contextmanager
def _glance(db: Path) -> Iterator[Store | None]:
    """The database, only looked at; None where there is none yet."""
    store = None if schema.inspect(db) == "new" else Glance(db)
    try:
        yield store
    finally:
        if store is not None:
            store.close()


def _lacking(store: Store | None, setting: Setting, arms: Sequence[PlannedArm]) -> list[int]:
    """How many rollouts each of the arms lacks."""
    if store is None:
        return [arm.draws * len(setting.problems) for arm in arms]
    return list(count_lacking(store, setting, arms).values())


def _outlook(prepared: Prepared, parts: Sequence[ArmOutlook], model_digest: str, store: Store | None) -> Outlook:
    lacking = sum(part.lacking for part in parts)
    tokens, rate = store.pace_of(model_digest) if store else (None, None)
    return Outlook(
        model=prepared.arms[0].arm.model,
        backend=prepared.engine.backend,
        dtype=prepared.engine.dtype,
        arms=parts,
        most_tokens=lacking * int(prepared.arms[0].arm.settings["max_new_tokens"]),
        tokens=None if tokens is None else lacking * tokens,
        seconds=lacking / rate if rate else None,
    )
