"""Deletes an arm, once what would happen has been agreed to. Knows the order of things."""

from collections.abc import Callable
from pathlib import Path

from esprobe.pipeline import process
from esprobe.store import schema
from esprobe.store.deletion import Doomed, delete_arm, find_doomed
from esprobe.store.store import Store


def delete(db: Path, arm_id: int, agreed: Callable[[Doomed], bool]) -> Doomed | None:
    """Deletes the arm if `agreed` says so of it; None if it does not. Raises UserError."""
    schema.existing(db)
    store = Store(db)
    try:
        store.mark_killed(process.is_gone)
        return delete_arm(store, arm_id) if agreed(find_doomed(store, arm_id)) else None
    finally:
        store.close()
