"""Retention: rules, legal holds, and pending deletions."""

from stores.catalog.migrations.script import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and what chunks remember of deletions."""
    run_script(__file__)
