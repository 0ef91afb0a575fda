"""How much footage chunks hold, by camera and day."""

from stores.catalog.migrations.script import run_script

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table footage_days and the triggers that keep it."""
    run_script(__file__)
