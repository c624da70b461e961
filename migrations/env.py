"""How Alembic runs here: on the connection and inside the transaction that the store hands over."""

from alembic import context
from sqlmodel import SQLModel

from esprobe.store import tables  # noqa: F401  # fills the metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
context.run_migrations()
