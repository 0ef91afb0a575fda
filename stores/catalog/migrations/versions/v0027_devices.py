"""Devices, their keys, the codes that enrol them, and what a site does with unsigned events."""

from stores.catalog.migrations.script import run_script

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables devices, device_keys and enrolment_codes, and the column sites.unsigned."""
    run_script(__file__)
