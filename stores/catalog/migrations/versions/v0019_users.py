"""Users, groups, and sessions as rows."""

from stores.catalog.migrations.script import run_script

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables of users and sessions. API keys stay as they are."""
    run_script(__file__)
