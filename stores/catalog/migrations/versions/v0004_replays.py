"""Replays: how far each came, and chunks that give way to others."""

from stores.catalog.migrations.script import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the bookmarks of replays and what deletions of replaced chunks need."""
    run_script(__file__)
