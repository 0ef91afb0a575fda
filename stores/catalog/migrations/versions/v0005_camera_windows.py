"""Cameras: how long their windows are, and how long these wait."""

from stores.catalog.migrations.script import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the window settings of cameras."""
    run_script(__file__)
