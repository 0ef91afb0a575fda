"""The link between devices and link workers, on real Kafka and PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from domain.commands import CommandKind
from stores.catalog import Catalog, edge_commands
from stores.catalog.edge_commands import get_command, get_command_body
from streams.sender import KafkaSender
from streams.settings import Settings
from tests.integration.catalog_support import fresh_catalog
from tests.integration.link_support import (
    DEVICE,
    Worker,
    command,
    give,
    link_settings,
    make_topic,
    running_device,
    running_worker,
)
from tests.waiting import wait_for


@dataclass
class Place:
    settings: Settings
    catalog: Catalog
    sender: KafkaSender
    worker: Worker

    async def state(self, command_id: str) -> str:
        found = await get_command(self.catalog, DEVICE, command_id)
        assert found is not None
        return found.state

    async def is_in(self, command_id: str, state: str) -> bool:
        return await self.state(command_id) == state

    async def linked(self) -> bool:
        return bool(await edge_commands.list_links(self.catalog, "acme/hq"))


@pytest.fixture
async def place(services) -> AsyncIterator[Place]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as catalog:
        settings = link_settings(services.settings, catalog._dsn)
        await make_topic(settings)
        async with (
            KafkaSender(settings) as sender,
            running_worker(settings, catalog) as worker,
        ):
            await wait_for(lambda: worker.service.ready, within_s=10, what="the worker is ready")
            yield Place(settings, catalog, sender, worker)


async def test_a_command_is_answered(place: Place) -> None:
    async with running_device(place.worker):
        await wait_for(place.linked, within_s=10, what="the device is connected")
        given = await give(
            place.catalog, place.sender, command(CommandKind.SNAPSHOT, camera="acme/hq/gate")
        )
        await wait_for(lambda: place.is_in(given.id, "answered"), within_s=5, what="an answer")
        found = await get_command(place.catalog, DEVICE, given.id)
        assert found is not None
        assert (found.detail, found.result) == ("Done.", {"camera": "acme/hq/gate"})
        assert await get_command_body(place.catalog, DEVICE, given.id) == (
            b"\xff\xd8\xffpicture",
            "image/jpeg",
        )
