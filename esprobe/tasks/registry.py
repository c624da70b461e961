"""The list of tasks. A new task is a package and a line here."""

from esprobe.errors import UserError
from esprobe.tasks.base import Scorer, Task


def all_tasks() -> list[Task]:
    """Every task there is, the default one first."""
    from esprobe.tasks.countdown.task import Countdown

    return [Countdown()]


def scorer_named(name: str) -> tuple[Task, Scorer]:
    """The scorer of that name with its task. Raises UserError."""
    for task in all_tasks():
        if name in task.scorers:
            return task, task.scorers[name]
    known = ", ".join(scorer for task in all_tasks() for scorer in task.scorers)
    raise UserError(f"there is no scorer {name!r}; known scorers: {known}")
