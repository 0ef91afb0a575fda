"""Sessions that OpenID providers opened."""

from stores.catalog.migrations.script import run_script

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables oidc_sessions and oidc_used."""
    run_script(__file__)
