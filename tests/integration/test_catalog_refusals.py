"""Rows that PostgreSQL rejects always, and errors where another try may succeed."""

import pytest

from domain.errors import InvalidEventError, StoreError
from stores.catalog import Catalog
from tests.conftest import Services


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT 1 / 0", InvalidEventError),
        ("SELECT jsonb_build_object('a', 'b')::text::int", InvalidEventError),
        ("SELECT no_such_column", StoreError),
    ],
)
async def test_a_rejected_row_is_not_retried(
    services: Services, statement: str, error: type[Exception]
) -> None:
    async with Catalog(services.settings.database_url.get_secret_value()) as catalog:
        with pytest.raises(error):
            async with catalog.transaction() as connection:
                await connection.execute(statement)


async def test_a_value_that_fits_no_column_is_rejected(services: Services) -> None:
    async with Catalog(services.settings.database_url.get_secret_value()) as catalog:
        with pytest.raises(InvalidEventError, match="rejected"):
            async with catalog.transaction() as connection:
                await connection.fetchval("SELECT $1::smallint", 1 << 40)
