"""Second factors by role; keys that belong to a person; who did it, by id."""

from stores.catalog.migrations.script import run_script

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of rules, and columns."""
    run_script(__file__)
