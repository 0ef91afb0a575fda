"""Cameras out of use."""

from stores.catalog.migrations.script import run_script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column cameras.retired_ms."""
    run_script(__file__)
