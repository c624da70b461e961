"""Scores stored rollouts again, without generating: another scorer, or all of them anew.

Knows scorers and the store, no model.
"""

from pathlib import Path

from esprobe import schema
from esprobe.progress import Meter
from esprobe.store import Store
from esprobe.task import scorer_named


def rescore(db: Path, name: str, everything: bool, meter: Meter) -> int:
    """Judges the rollouts that the scorer `name` has not judged yet, or all; returns how many. Raises UserError."""
    task, scorer = scorer_named(name)
    schema.existing(db)
    store = Store(db)
    try:
        total = store.count_to_score(task.name, name, everything)
        advance = meter.start(name, total, "rollouts")
        judged = 0
        for batch in store.to_score(task.name, name, everything):
            store.save_scores(name, [(rollout, scorer(rollout.payload, rollout.text)) for rollout in batch])
            judged += len(batch)  # rollouts may have come or gone since they were counted
            advance(len(batch))
        return judged
    finally:
        store.close()
