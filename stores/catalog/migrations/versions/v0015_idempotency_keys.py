"""Idempotency keys of requests."""

from stores.catalog.migrations.script import run_script

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table idempotency_keys."""
    run_script(__file__)
