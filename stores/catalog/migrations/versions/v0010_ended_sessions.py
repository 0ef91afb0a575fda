"""Sessions that were signed out of."""

from stores.catalog.migrations.script import run_script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table ended_sessions."""
    run_script(__file__)
