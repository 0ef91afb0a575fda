"""The link when something fails: workers that stop, two sockets, stalls, what is not a device's."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from domain.commands import CommandKind
from domain.link_messages import LINK_PATH, AnswerMessage, Hello, Welcome, parse_from_worker
from stores.catalog import Catalog, edge_commands
from stores.catalog.edge_commands import get_command
from stores.catalog.link_workers import list_link_workers
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
    store,
)
from tests.waiting import wait_for
from web.device import link


@dataclass
class Place:
    settings: Settings
    catalog: Catalog
    sender: KafkaSender
    worker: Worker
    other: Worker

    async def is_in(self, command_id: str, state: str) -> bool:
        found = await get_command(self.catalog, DEVICE, command_id)
        return found is not None and found.state == state

    async def holder(self) -> str:
        links = await edge_commands.list_links(self.catalog, "acme/hq")
        return links[0].worker if links else ""


@pytest.fixture
async def place(services) -> AsyncIterator[Place]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as catalog:
        settings = link_settings(services.settings, catalog._dsn, link_ping_s=1.0)
        await make_topic(settings)
        async with (
            KafkaSender(settings) as sender,
            running_worker(settings, catalog) as worker,
            running_worker(settings, catalog) as other,
        ):
            for each in (worker, other):
                await wait_for(lambda one=each: one.service.ready, within_s=10, what="it is ready")
            yield Place(settings, catalog, sender, worker, other)


async def test_a_worker_that_stops_hands_its_devices_over(place: Place) -> None:
    async with running_device(place.worker) as device:
        await wait_for(place.holder, within_s=10, what="the device is connected")
        device.hold.clear()
        running = await give(place.catalog, place.sender, command())
        await wait_for(lambda: device.done, within_s=10, what="the device is at work")
        device.identity.url = place.other.url(DEVICE)
        stopping = asyncio.create_task(place.worker.stop())
        await wait_for(lambda: place.worker.service.worker.draining, within_s=5, what="it drains")
        assert not place.worker.service.ready
        device.hold.set()
        await stopping

        async def moved() -> bool:
            return await place.holder() == place.other.service.worker.id

        await wait_for(moved, within_s=10, what="the device is at the other worker")
        await wait_for(lambda: place.is_in(running.id, "answered"), within_s=10, what="the answer")
        assert len(device.done) == 1
        left = await list_link_workers(place.catalog)
        assert [each.id for each in left] == [place.other.service.worker.id]


async def test_a_command_that_was_never_sent_is_given_at_the_next_connection(place: Place) -> None:
    """Its web worker was killed between the row and Kafka, or the link worker before the device."""
    lost = await store(place.catalog, command())
    async with running_device(place.worker) as device:
        await wait_for(lambda: place.is_in(lost.id, "answered"), within_s=10, what="an answer")
        assert [each.id for each in device.done] == [lost.id]


async def test_the_newest_socket_of_a_device_wins(place: Place) -> None:
    async with aiohttp.ClientSession() as session:

        async def connect(worker: Worker) -> aiohttp.ClientWebSocketResponse:
            ws = await session.ws_connect(f"{worker.url(DEVICE)}{LINK_PATH}")
            await ws.send_str(Hello().text())
            assert isinstance(parse_from_worker((await ws.receive()).data), Welcome)
            return ws

        first = await connect(place.worker)
        second = await connect(place.worker)
        assert (await first.receive(10)).type is aiohttp.WSMsgType.CLOSE
        assert first.close_code == link.OVERTAKEN
        third = await connect(place.other)
        await wait_for(place.holder, within_s=5, what="the row")
        # Pings are answered by `receive`: the socket is closed as overtaken, not as silent.
        while (await second.receive(30)).type is not aiohttp.WSMsgType.CLOSE:
            pass
        assert second.close_code in (link.OVERTAKEN, 1008)
        await third.close()


async def test_sockets_that_stall_or_send_something_else_are_closed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "HELLO_S", 0.3)
    url = f"{place.worker.url(DEVICE)}{LINK_PATH}"
    async with aiohttp.ClientSession() as session:
        silent = await session.ws_connect(url)
        assert (await silent.receive(10)).type is aiohttp.WSMsgType.CLOSE
        assert silent.close_code == 1008

        halfway = await session.ws_connect(url)
        # A header that promises 100 bytes, and then only 3 of them.
        transport = halfway._response.connection.transport
        transport.write(b"\x81\xe4\x00\x00\x00\x00abc")
        assert (await halfway.receive(10)).type is aiohttp.WSMsgType.CLOSE

        for text in ("{", '{"type":"answer"}', '{"type":"format-disk"}'):
            wrong = await session.ws_connect(url)
            await wrong.send_str(text)
            assert (await wrong.receive(10)).type is aiohttp.WSMsgType.CLOSE
            assert wrong.close_code == 1003

        foreign = await store(place.catalog, command(CommandKind.CLOCK_CHECK, device="globex/a/b"))
        ws = await session.ws_connect(url)
        await ws.send_str(Hello().text())
        await ws.receive(10)
        await ws.send_str(AnswerMessage(id=foreign.id, state="answered").text())
        large = "x" * 3_000_000
        await ws.send_str(large)
        assert (await ws.receive(10)).type is aiohttp.WSMsgType.CLOSE
        assert ws.close_code == 1009
    found = await get_command(place.catalog, "globex/a/b", foreign.id)
    assert found is not None
    assert found.state == "sent"


async def test_workers_trust_only_who_has_the_secret(place: Place) -> None:
    address = place.worker.service.worker.address
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{address}/internal/v1/anything") as answer:
            assert answer.status == 401
        headers = place.other.service.secret.headers("GET", "/internal/v1/anything")
        async with session.get(f"{address}/internal/v1/anything", headers=headers) as answer:
            assert answer.status == 404
        async with session.get(f"{address}/internal/v1/other", headers=headers) as answer:
            assert answer.status == 401
