"""`vote_at_k_by_expression` decides by arm whether every ballot has an expression. No row changes."""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Does nothing: `esprobe.store.schema` creates all views again after any migration."""
