"""The newest detections as events, for streams."""

from stores.catalog.migrations.script import run_script

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables live_events and live_epoch."""
    run_script(__file__)
