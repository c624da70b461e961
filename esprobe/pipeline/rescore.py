"""Scores stored rollouts again, without generating: by another scorer, or all of them.

Knows scorers and the store, no model.
"""

from pathlib import Path

from esprobe.pipeline.judge import judge
from esprobe.pipeline.meter import Meter
from esprobe.store import schema
from esprobe.store.store import Store
from esprobe.tasks.registry import scorer_named


def rescore(db: Path, name: str, everything: bool, meter: Meter) -> int:
    """Scores the rollouts that the scorer `name` has not scored yet, or all; returns how many. Raises UserError.

    Proves the facts of the task's problems again where an older esprobe left some out.
    """
    task, scorer = scorer_named(name)
    schema.existing(db)
    store = Store(db)
    try:
        store.complete_facts([(problem, task.facts(problem)) for problem in store.older_problems(task.name)])
        total = store.count_to_score(task.name, name, everything)
        advance = meter.start({name: total}, "rollouts")
        scored = 0
        for batch in store.to_score(task.name, name, everything):
            verdicts = judge(scorer, ((rollout.payload, rollout.text) for rollout in batch))
            store.save_scores(name, list(zip(batch, verdicts, strict=True)))
            scored += len(batch)  # rollouts may have been added or deleted since they were counted
            advance(name, len(batch))
        return scored
    finally:
        store.close()
