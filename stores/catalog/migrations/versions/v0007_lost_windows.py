"""Windows of which nothing could be joined."""

from stores.catalog.migrations.script import run_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is lost."""
    run_script(__file__)
