"""What an API key may do, and where."""

from stores.catalog.migrations.script import run_script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table api_key_grants, with what the keys of before could do."""
    run_script(__file__)
