"""Trained models in the database: the line of updates that leads from a root to one, and what its members were rewarded.

Knows rows; must not know how updates are computed or applied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from esprobe.arms import Update
from esprobe.errors import UserError
from esprobe.store import tables
from esprobe.store.runs import Runs, table_of


@dataclass(frozen=True)
class TrainedModel:
    """A model of the database by name, with the updates that lead to it from its root; without any it is the root itself."""

    name: str
    digest: str
    root: str
    source: str  # what the root's files are found by: the folder where they last were, or its name
    root_digest: str
    updates: tuple[Update, ...]
    settings: Mapping[str, Any]  # of the training that made it
    arm: str  # digest of the arm whose rollouts its last update comes from


def find_trained(store: Runs, name: str) -> TrainedModel | None:
    """The trained model of this name. Raises UserError where several have it, as after a merge of unlike trainings.

    Its root is the last model on the way back that no known update has made.
    """
    model, arm = table_of(tables.Model), table_of(tables.Arm)
    with store.reading() as connection:
        named = connection.execute(select(model).where(model.c.name == name, model.c.parent_id.is_not(None))).all()
        found = [one.id for one in named if _made_here(one)]
        if len(found) > 1:
            raise UserError(f"{store.path}: {len(found)} trained models are called {name}; they were made by unlike trainings")
        line, row = [], found[0] if found else None
        while row is not None:
            line.append(connection.execute(select(model).where(model.c.id == row)).one())
            row = line[-1].parent_id if _made_here(line[-1]) else None
        if len(line) < 2:
            return None
        made_of = connection.scalar(select(arm.c.digest).where(arm.c.id == line[0].arm_id))
    root, *steps = reversed(line)
    updates = tuple(Update.of(step.updates) for step in steps)
    source, settings = root.folder or root.name, steps[-1].updates["training"]
    return TrainedModel(name, steps[-1].digest, root.name, source, root.digest, updates, settings, str(made_of))


def _made_here(model: Any) -> bool:
    """Whether a row's model is its parent and a known update, not a checkpoint that was trained elsewhere."""
    return "seeds" in (model.updates or ())


def add_trained(store: Runs, name: str, digest: str, parent: str, arm: str, made_by: Update, settings: Mapping[str, Any]) -> None:
    """Adds the model that an update makes of its parent; `parent` and `arm` are digests of rows that are there.

    Raises UserError where the same weights have another name already: it would be the same training twice.
    """
    model, arm_table = table_of(tables.Model), table_of(tables.Arm)
    with store.at_once(), store.transaction() as connection:
        if (known := connection.scalar(select(model.c.name).where(model.c.digest == digest))) is not None:
            if known != name:
                raise UserError(
                    f"{name} would be {known} again: the same model, seeds and settings; continue that one by its name"
                )
            return
        row = {
            "digest": digest,
            "name": name,
            "parent_id": connection.scalar(select(model.c.id).where(model.c.digest == parent)),
            "arm_id": connection.scalar(select(arm_table.c.id).where(arm_table.c.digest == arm)),
            "updates": made_by.record() | {"training": dict(settings)},
        }
        connection.execute(insert(model), [row])


def add_foreign(store: Runs, root: tuple[str, str], line: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
    """Adds models that were trained elsewhere, each the child of the one before it and the first of `root`, as far as lacking.

    `root` is (digest, name), each model (digest, name, updates). Raises UserError where one is there with another `training`.
    """
    model = table_of(tables.Model)
    with store.at_once(), store.transaction() as connection:
        new = insert(model).prefix_with("OR IGNORE")
        connection.execute(new, [{"digest": root[0], "name": root[1]}])
        parent = connection.scalar(select(model.c.id).where(model.c.digest == root[0]))
        for digest, name, updates in line:
            connection.execute(new, [{"digest": digest, "name": name}])
            there = connection.execute(select(model).where(model.c.digest == digest)).one()
            if there.parent_id is None:
                made = {"parent_id": parent, "updates": dict(updates)}
                connection.execute(update(model).where(model.c.id == there.id).values(made))
            elif there.parent_id != parent or (there.arm_id is None and there.updates != updates):
                spent = (there.updates or {}).get("training", {}).get("rollouts_spent")
                raise UserError(
                    f"{name} is in {store.path} as {there.name}, "
                    f"trained from another model or with other --rollouts-spent ({spent})"
                )
            parent = there.id


def member_rewards(store: Runs, arm: str, scorer: str, reward: str) -> dict[int, tuple[int, float]]:
    """Draw → (problems, mean `reward`: the column `correct` or `reward`) of the arm with this digest."""
    sql = (
        f"SELECT draw, count(*), avg({'correct' if reward == 'correct' else 'reward'}) FROM score "
        "WHERE scorer = ? AND arm_id = (SELECT id FROM arm WHERE digest = ?) GROUP BY draw"
    )
    with store.reading() as connection:
        return {draw: (count, mean) for draw, count, mean in connection.exec_driver_sql(sql, (scorer, arm))}
