"""What the API changes: time zones of sites, disabled cameras, why holds end, keys' rotation."""

from stores.catalog.migrations.script import run_script

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns to sites, cameras, legal_holds and api_keys. What exists keeps its meaning."""
    run_script(__file__)
