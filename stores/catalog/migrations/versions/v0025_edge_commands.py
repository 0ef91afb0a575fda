"""Commands to devices, the sockets of devices, and the workers that hold them."""

from stores.catalog.migrations.script import run_script

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables link_workers, edge_links and edge_commands."""
    run_script(__file__)
