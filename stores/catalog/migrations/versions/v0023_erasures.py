"""Erasures of tenants and users; what was erased does not come back."""

from stores.catalog.migrations.script import run_script

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of erasures, and triggers that refuse an erased tenant."""
    run_script(__file__)
