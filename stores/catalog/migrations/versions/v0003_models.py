"""Models: detections that replays made, and which are shown."""

from stores.catalog.migrations.script import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables; count detections by minute and model, from the detections themselves."""
    run_script(__file__)
