"""Partitions of days are made with the owner's rights: the role vigil_index may ask for them.

Roles, grants and row-level security themselves are not a step: stores/catalog/row_security.py.
"""

from stores.catalog.migrations.script import run_script

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change how ensure_day runs."""
    run_script(__file__)
