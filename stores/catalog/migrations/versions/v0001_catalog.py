"""The first schema: cameras, runs, fragments, chunks, detections, edges, keys, tombstones."""

from stores.catalog.migrations.script import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make everything."""
    run_script(__file__)
