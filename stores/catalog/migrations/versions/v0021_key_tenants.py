"""The tenant of an API key; a revoked key stays revoked."""

from stores.catalog.migrations.script import run_script

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add api_keys.tenant and a trigger. Keys of before get the tenant of their grants."""
    run_script(__file__)
