"""A results database that is looked at and never written: for what only asks what is there. Knows no table."""

import threading
from pathlib import Path

from sqlalchemy import create_engine

from esprobe.errors import UserError
from esprobe.store import schema
from esprobe.store.store import Store


class Glance(Store):
    """A store whose methods that read can be called; its connection cannot write."""

    def __init__(self, path: Path) -> None:
        """Raises UserError if `path` is no database of ours, or an older esprobe's."""
        if schema.existing(path) == "older":
            raise UserError(f"{path}: was written by an older esprobe; `esprobe runs` upgrades it, then ask again")
        self.path = path
        self._here = threading.local()
        self.engine = create_engine("sqlite://", creator=lambda: schema.open_readonly(path))

    def close(self) -> None:
        """See Database."""
        self.engine.dispose()
