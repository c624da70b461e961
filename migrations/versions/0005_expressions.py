"""A second, stricter ballot of each verdict: the expression in normal form, by which `vote_at_k_by_expression` counts.

It is NULL until the stored texts are scored again after the migrations (`esprobe.store.upgrade_scores`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("score", sa.Column("expression", sa.String))
