"""When an API key expires, from where it may be used, and when it was used last."""

from stores.catalog.migrations.script import run_script

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns to api_keys. The keys of before have no limits."""
    run_script(__file__)
