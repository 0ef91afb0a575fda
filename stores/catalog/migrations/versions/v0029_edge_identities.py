"""Identities of edge devices."""

from stores.catalog.migrations.script import run_script

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what a device reports of its identity."""
    run_script(__file__)
