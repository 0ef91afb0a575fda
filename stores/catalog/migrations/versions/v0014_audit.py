"""The audit log: append-only, one hash chain for each tenant."""

from stores.catalog.migrations.script import run_script

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the schema vigil_audit, once for all catalogs of a database."""
    run_script(__file__)
