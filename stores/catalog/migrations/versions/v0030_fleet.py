"""Releases, rollouts and what devices run."""

from stores.catalog.migrations.script import run_script

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables of updates."""
    run_script(__file__)
