"""Signatures of sites' configurations, and the public keys that verify them."""

from stores.catalog.migrations.script import run_script

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns of the signature, and the table of keys."""
    run_script(__file__)
