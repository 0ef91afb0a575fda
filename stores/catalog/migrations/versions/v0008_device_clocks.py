"""Clocks of edge devices."""

from stores.catalog.migrations.script import run_script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add whether a device's clock is kept."""
    run_script(__file__)
