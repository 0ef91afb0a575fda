"""Tracks that change inside a run."""

from stores.catalog.migrations.script import run_script

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column live_sections.form."""
    run_script(__file__)
