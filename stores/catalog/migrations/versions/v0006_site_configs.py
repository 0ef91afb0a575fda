"""Configurations of sites, and keys that read one of them."""

from stores.catalog.migrations.script import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the sites' configurations, the edges' reports about them, and the scope of keys."""
    run_script(__file__)
