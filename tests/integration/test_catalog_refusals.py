"""What PostgreSQL refuses for good is told apart from what another try may mend."""

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
async def test_a_refused_row_is_not_tried_again(
    services: Services, statement: str, error: type[Exception]
) -> None:
    async with Catalog(services.settings.database_url.get_secret_value()) as catalog:
        with pytest.raises(error):
            async with catalog.transaction() as connection:
                await connection.execute(statement)


async def test_a_value_that_fits_no_column_is_refused(services: Services) -> None:
    async with Catalog(services.settings.database_url.get_secret_value()) as catalog:
        with pytest.raises(InvalidEventError, match="refused"):
            async with catalog.transaction() as connection:
                await connection.fetchval("SELECT $1::smallint", 1 << 40)
