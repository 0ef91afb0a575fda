"""A connection that is lost in the middle of something is the server's fault, not the event's."""

import asyncio
from typing import Any

import asyncpg
import pytest

from domain.errors import StoreError
from stores.catalog import Catalog
from tests.conftest import Services


async def test_a_connection_left_in_the_middle_is_tried_again(services: Services) -> None:
    async with Catalog(services.settings.database_url.get_secret_value()) as catalog:
        with pytest.raises(StoreError, match="did not answer"):
            async with catalog.transaction() as connection:
                raw: Any = connection
                busy = asyncio.ensure_future(raw._con._protocol.query("SELECT 1", 5))
                await asyncio.sleep(0)  # on its way: another question cannot be asked now
                try:
                    await connection.fetchval("SELECT 2")
                except asyncpg.InterfaceError as refused:
                    raise asyncpg.InternalClientError(str(refused)) from refused
                finally:
                    busy.cancel()
        async with catalog.transaction() as connection:
            assert await connection.fetchval("SELECT 3") == 3
