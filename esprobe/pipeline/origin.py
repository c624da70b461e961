"""Which model a command means: a file's, or one that a training has made, which is that of its root and a line of updates.

Knows the names of trained models, and what the database or the package has of them. Must not know how updates are applied.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from esprobe.arms import Update, trained_name
from esprobe.bundled.trained import shipped, shipped_iteration
from esprobe.engines.models import ModelFiles, find_model
from esprobe.errors import UserError
from esprobe.plan.sweep import PlannedArm
from esprobe.store.store import Store
from esprobe.store.trained import TrainedModel, add_foreign, find_trained


@dataclass(frozen=True)
class Origin:
    """A trained model as a sweep needs it: `source` is what its root's files are found by, `root_digest` what they must be."""

    name: str
    digest: str
    root: str
    source: str
    root_digest: str
    updates: tuple[Update, ...]
    shipped: bool = False  # with the package, so that a database may lack the line of models that leads to it

    def arms(self, planned: Sequence[PlannedArm]) -> list[PlannedArm]:
        """The same arms of this model instead of its root."""
        return [PlannedArm(replace(p.arm, model=self.name, model_digest=self.digest), p.draws, self.updates) for p in planned]

    def files(self) -> ModelFiles:
        """The root's. Raises UserError if they are not there, or not those that the training began with."""
        if Path(self.source).is_absolute() and not Path(self.source).is_dir():
            raise self._lost(f"there is no folder {self.source}")
        try:
            found = find_model(self.source)
        except UserError as error:
            raise self._lost(str(error)) from None
        if found.digest != self.root_digest:
            raise self._lost(f"{found.folder} has other files than it had then")
        return replace(found, name=self.root)

    def _lost(self, why: str) -> UserError:
        return UserError(
            f"{self.name} was trained from {self.root}, which is not found here ({why}); the database learns where its folder is "
            "from any command that is given it, such as `esprobe sample-temp --model FOLDER -n 1 --limit 1`"
        )


def origin(db: Path, model: str, look: Callable[[Path], Store] = Store) -> Origin | None:
    """The trained model that `NAME@ITERATION` is in the database or ships as; None for any other name, and `NAME@0`'s root.

    `look` opens the database. Raises UserError if there is no such model.
    """
    if (shipped_at := shipped_iteration(model)) is not None:
        return _of_shipped(model, shipped_at)
    name, iteration = trained_name(model)
    if iteration is None or Path(model).exists():
        return None
    store = look(db) if db.exists() else None
    try:
        found = find_trained(store, model if iteration else f"{name}@1") if store else None
    finally:
        if store:
            store.close()
    if found is None:
        raise UserError(f"there is no trained model {model} in {db}; train it, or name a folder or a Hugging Face model")
    if not iteration:
        return Origin(found.root, found.root_digest, found.root, found.source, found.root_digest, ())
    return of_trained(found)


def of_trained(found: TrainedModel) -> Origin:
    """The same as an origin."""
    return Origin(found.name, found.digest, found.root, found.source, found.root_digest, found.updates)


def _of_shipped(model: str, iteration: int) -> Origin:
    one = shipped()
    if iteration > len(one.updates):
        raise UserError(f"there is no model {model}: its training has {len(one.updates)} iterations")
    if not iteration:
        return Origin(one.root, one.root_digest, one.root, one.root, one.root_digest, ())
    digest = one.digests[iteration - 1]
    return Origin(one.name(iteration), digest, one.root, one.root, one.root_digest, one.updates[:iteration], shipped=True)


def add_shipped(store: Store, made: Origin) -> None:
    """Adds the line of models that leads to one that ships with the package, as far as the database lacks it."""
    if made.shipped:
        one = shipped()
        steps = range(1, len(made.updates) + 1)
        add_foreign(store, (one.root_digest, one.root), [(one.digests[i - 1], one.name(i), one.record(i)) for i in steps])
