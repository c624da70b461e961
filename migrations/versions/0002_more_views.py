"""No table changes: adds the views `draw_accuracy` and `cover_at_tau`, since all views are created again after a migration."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    pass
