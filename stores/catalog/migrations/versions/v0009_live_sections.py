"""Live sections, and the days of a run's chunks."""

from stores.catalog.migrations.script import run_script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables live_sections and chunk_days."""
    run_script(__file__)
