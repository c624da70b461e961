"""Deletes an arm with all that is only its own. Knows tables and what refers to what."""

from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from esprobe.errors import UserError
from esprobe.store.faults import unwritable
from esprobe.store.store import Store


@dataclass(frozen=True)
class Doomed:
    """An arm that can be deleted."""

    arm_id: int
    model: str
    method: str
    value: float | None
    rollouts: int


def find_doomed(store: Store, arm_id: int) -> Doomed:
    """The arm. Raises UserError where there is none, a trained model was made of it, or a run may still write to it."""
    with store.reading() as connection:
        arm = connection.exec_driver_sql(_ARM, (arm_id,)).first()
        if arm is None:
            raise UserError(f"{store.path}: there is no arm {arm_id}; `esprobe arms` lists them")
        if (made := connection.exec_driver_sql("SELECT name FROM model WHERE arm_id = ?", (arm_id,)).scalar()) is not None:
            raise UserError(f"arm {arm_id} has the members that {made} was made of; without them it could not be explained")
        if (run := connection.exec_driver_sql("SELECT id FROM run WHERE state = 'running'").scalar()) is not None:
            raise UserError(
                f"run {run} may still write to arm {arm_id}; stop it, or wait until `esprobe runs` says that it is done"
            )
    return Doomed(*arm)


def delete_arm(store: Store, arm_id: int) -> Doomed:
    """Deletes the arm with its rollouts, verdicts, draws and prompts, all or nothing; models, problems and runs stay."""
    try:
        with store.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            # nothing refers to what is deleted, and looking for it would read all verdicts once for each rollout
            driver.execute("PRAGMA foreign_keys = OFF")
            try:
                with connection.begin():  # takes the write lock
                    doomed = find_doomed(store, arm_id)
                    for table in ("score", "rollout", "draw", "prompt"):
                        connection.exec_driver_sql(f"DELETE FROM {table} WHERE arm_id = ?", (arm_id,))
                    connection.exec_driver_sql("DELETE FROM arm WHERE id = ?", (arm_id,))
            finally:
                driver.execute("PRAGMA foreign_keys = ON")  # the next user of this connection has the keys
    except DBAPIError as error:
        raise UserError(unwritable(store.path, error)) from None
    return doomed


_ARM = """
SELECT arm.id, model.name, method, value, (SELECT count(*) FROM rollout WHERE arm_id = arm.id)
FROM arm JOIN model ON model.id = model_id WHERE arm.id = ?
"""
