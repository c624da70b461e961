"""Exports a trained model of a database. Knows the order of things and nothing of how any of them is done."""

from pathlib import Path

from esprobe.errors import UserError
from esprobe.pipeline.origin import origin


def export_model(db: Path, model: str, out: Path, dtype: str) -> None:
    """Writes the trained model `NAME@ITERATION` into the new folder `out`. Raises UserError."""
    from esprobe.engines.export import export

    found = origin(db, model)
    if found is None:
        there = '`esprobe sql "SELECT model FROM training"` lists them'
        raise UserError(f"{model} is not the name of a trained model, which is NAME@ITERATION; {there}")
    export(found.files(), found.updates, out, dtype)
