"""The list of tasks, each imported when it is first asked for. A new task is a module and a line here.

Knows names only. A task's default scorer has the task's name, any other that name, a hyphen and a word.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module

from esprobe.errors import UserError
from esprobe.tasks.base import Scorer, Task

DEFAULT = "countdown"
_TASKS = {
    "countdown": "esprobe.tasks.countdown.task:Countdown",
    "gsm8k": "esprobe.tasks.gsm8k.task:Gsm8k",
    "math": "esprobe.tasks.math.task:Math",
}
_FAMILIES = {"reasoning-gym": "esprobe.tasks.reasoning_gym.task:ReasoningGym"}  # FAMILY/NAME: made with the name and options


def task_named(name: str, options: Mapping[str, str] | None = None) -> Task:
    """The task of that name; `options` are the user's words for what its problems should be like.

    Raises UserError for an unknown task, one whose packages are not installed, and options that it has not.
    """
    family, _, member = name.partition("/")
    target = _FAMILIES.get(family) if member else _TASKS.get(name)
    if target is None:
        raise UserError(f"there is no task {name!r}; tasks: {', '.join(known_tasks())}")
    module, _, made = target.partition(":")
    task = getattr(import_module(module), made)
    if member:
        found: Task = task(member, options or {})
        return found
    if options:
        raise UserError(f"{name} has no options, so leave out --task-option {next(iter(options))}")
    found = task()
    return found


def known_tasks() -> list[str]:
    """The names of tasks, the default one first; a family of tasks as FAMILY/NAME."""
    return [*_TASKS, *(f"{family}/NAME" for family in _FAMILIES)]


def scorer_named(name: str) -> tuple[Task, Scorer]:
    """The scorer of that name with its task. Raises UserError."""
    family = name.partition("/")[0]
    for task_name in [name] if family in _FAMILIES else _TASKS:
        if name == task_name or name.startswith(task_name + "-"):
            task = task_named(task_name)
            if name in task.scorers:
                return task, task.scorers[name]
    raise UserError(f"there is no scorer {name!r}; known scorers: {', '.join(known_scorers())}")


def known_scorers() -> list[str]:
    """The names of scorers, task by task; those of a family as FAMILY/NAME."""
    found = []
    for name in known_tasks():
        task = None if name.endswith("/NAME") else find_task(name)
        found += [name] if task is None else list(task.scorers)
    return found


def find_task(name: str) -> Task | None:
    """The task of that name; None for one that is not known, or whose packages are not installed."""
    try:
        return task_named(name)
    except UserError:
        return None


def find_tasks(names: Iterable[str]) -> dict[str, Task]:
    """Name → task of those of `names` that can be found, in their order."""
    return {name: task for name in dict.fromkeys(names) if (task := find_task(name)) is not None}
