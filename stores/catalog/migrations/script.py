"""Running a step's SQL file, whole, inside alembic's transaction."""

from pathlib import Path

from alembic import op


def run_script(step: str) -> None:
    """Execute the .sql file next to the step's Python file; an error rolls back the whole step.

    asyncpg takes many statements at once only without parameters and without preparing, which
    SQLAlchemy's cursor always does: so the driver's own connection is asked.
    """
    script = Path(step).with_suffix(".sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.dbapi_connection
    if connection is None:
        raise RuntimeError("alembic gave no open connection")
    connection.run_async(lambda driver: driver.execute(script))
