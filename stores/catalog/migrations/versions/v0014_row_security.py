"""The partition of a day is made by the owner's rights, so that the role vigil_index may ask for it.

Roles, grants and row-level security themselves are not a step: stores/catalog/row_security.py.
"""

from stores.catalog.migrations.script import run_script

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change how ensure_day runs."""
    run_script(__file__)
