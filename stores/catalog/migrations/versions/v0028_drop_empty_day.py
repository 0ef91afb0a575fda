"""Empty partitions of past days are dropped with the owner's rights: vigil_index may ask for it."""

from stores.catalog.migrations.script import run_script

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add drop_empty_day."""
    run_script(__file__)
