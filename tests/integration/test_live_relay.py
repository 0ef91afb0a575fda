"""Live pictures through the cloud: a device, link workers with a relay, the web, viewers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
import pytest

from domain.access import Grant, Permission, Role
from domain.live_stream import LiveKind
from stores import keep_alive
from stores.catalog import add_camera
from stores.catalog.keys import create_key
from streams.metrics import REGISTRY
from streams.settings import Settings
from tests.integration.catalog_support import CAMERA, T0
from tests.integration.link_support import PathIdentity, link_settings, make_topic
from tests.integration.live_support import (
    GOP,
    SECRET,
    LiveDevice,
    LiveWorker,
    Viewer,
    heartbeat,
    is_decodable,
    live_worker,
    numbers,
)
from tests.integration.web_support import Web, running_web
from tests.stalling_proxy import StallingProxy
from tests.waiting import wait_for
from web import live_socket
from web.device import link
from web.live import relay

PATH = f"/api/v1/cameras/{CAMERA}/live/socket"
FOREIGN = "globex/plant/door"


@dataclass
class Place:
    """Two link workers, a device that is connected to the first, and the web."""

    web: Web
    settings: Settings
    workers: list[LiveWorker]
    device: LiveDevice
    viewers: list[Viewer] = field(default_factory=list)

    async def watch(self, path: str = PATH, headers: dict[str, str] | None = None) -> Viewer:
        client = self.web.client if headers is None else self.web.stranger
        viewer = Viewer(await client.ws_connect(path, headers=headers))
        self.viewers.append(viewer)
        return viewer

    async def key(self, *grants: Grant) -> dict[str, str]:
        key = await create_key(self.web.catalog, "viewer", T0, None, grants)
        return {"Authorization": f"Bearer {key}"}


@pytest.fixture
async def place(services, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    drain = link.LinkHub.drain
    monkeypatch.setattr(link, "RECONNECT_MS", 100)
    monkeypatch.setattr(link, "CLOSE_S", 0.5)
    monkeypatch.setattr(link.LinkHub, "drain", lambda hub: drain(hub, within_s=0.5))
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(running_web(services, VIGIL_LINK_SECRET=SECRET))
        settings = link_settings(services.settings, web.catalog._dsn, link_secret=SECRET)
        await make_topic(settings)
        await heartbeat(web.catalog)
        workers = [
            await stack.enter_async_context(live_worker(settings, web.catalog)) for _ in range(2)
        ]
        await wait_for(lambda: all(w.service.ready for w in workers), within_s=20, what="workers")
        device = await stack.enter_async_context(LiveDevice(PathIdentity(workers[0].url())))
        await wait_for(lambda: device.connected, within_s=10, what="the device's link")
        made = Place(web, settings, workers, device)
        yield made
        for viewer in made.viewers:
            await viewer.close()


async def test_many_viewers_of_a_camera_cost_the_device_one_stream(place: Place) -> None:
    assert not place.device.asked
    viewers = [await place.watch() for _ in range(20)]
    await wait_for(
        lambda: all(each.count >= 3 * GOP for each in viewers), within_s=20, what="pictures"
    )
    for viewer in viewers:
        assert [each.kind for each in viewer.pictures.messages[:3]] == [
            LiveKind.FORMAT, LiveKind.INIT, LiveKind.KEYFRAME
        ]  # fmt: skip
        found = numbers(viewer.pictures)
        assert is_decodable(found)
        assert found == list(range(found[0], found[0] + len(found)))
    assert len(place.device.senders) == 1
    (sender,) = place.device.senders.values()
    assert not sender.done()
    for viewer in viewers:
        await viewer.close()
    await wait_for(sender.done, within_s=10, what="the device to stop: no one watches")
    assert not any(each.relay._pictures for each in place.workers)


async def test_both_feeds_and_both_relays(place: Place) -> None:
    """Whichever worker the hash chooses: the device's socket arrives at the first one."""
    feeds = [await place.watch(f"{PATH}?feed={feed}") for feed in ("main", "sub")]
    await wait_for(lambda: all(each.count > GOP for each in feeds), within_s=20, what="pictures")
    assert {each.feed for each in place.device.asked} == {"main", "sub"}
    relays = {each.relay for each in place.device.asked}
    assert relays <= {each.service.worker.id for each in place.workers}


async def test_a_relay_that_stops_is_replaced_by_the_next(place: Place) -> None:
    viewer = await place.watch()
    await wait_for(lambda: viewer.count > GOP, within_s=20, what="pictures")
    relay_id = place.device.asked[-1].relay
    old = next(each for each in place.workers if each.service.worker.id == relay_id)
    other = next(each for each in place.workers if each is not old)
    place.device.identity.url = other.url()
    stopping = asyncio.create_task(old.runner.cleanup())
    await wait_for(
        lambda: place.device.asked[-1].relay == other.service.worker.id, within_s=10, what="a relay"
    )
    before = viewer.count
    await wait_for(lambda: viewer.count > before + GOP, within_s=10, what="pictures again")
    assert viewer.pictures.count(LiveKind.FORMAT) >= 2
    assert is_decodable(numbers(viewer.pictures))
    assert not viewer.ws.closed
    await stopping


async def test_a_slow_viewer_loses_gops_and_holds_up_no_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_alive, "SILENT_S", 60)  # it answers no ping while it reads nothing
    place.device._size = 60_000
    slow = await place.web.client.ws_connect(PATH, max_msg_size=0)
    quick = await place.watch()
    await wait_for(lambda: quick.count > 150, within_s=30, what="pictures of the quick viewer")
    found = numbers(quick.pictures)
    assert found == list(range(found[0], found[0] + len(found)))
    late = Viewer(slow)
    place.viewers.append(late)
    last = found[-1]
    await wait_for(
        lambda: bool(numbers(late.pictures)) and numbers(late.pictures)[-1] > last,
        within_s=20,
        what="the slow viewer to be up to date",
    )
    seen = numbers(late.pictures)
    assert is_decodable(seen)
    assert len(seen) < seen[-1] - seen[0] + 1, "nothing was dropped"


async def test_a_devices_socket_that_stalls_is_replaced(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is open, and nothing comes: no data, no close. The other feed has no gap."""
    monkeypatch.setattr(keep_alive, "PING_S", 0.2)
    monkeypatch.setattr(keep_alive, "SILENT_S", 1.5)
    async with StallingProxy(place.workers[0].port) as proxy:
        place.device.identity.url = f"{proxy.url}/as/acme/hq/box"
        main = await place.watch()
        other = await place.watch(f"{PATH}?feed=sub")
        await wait_for(lambda: min(main.count, other.count) > GOP, within_s=20, what="pictures")
        assert proxy.stall(b"feed=main") == 1
        last = numbers(main.pictures)[-1]
        await wait_for(lambda: proxy.opened(b"feed=main") == 2, within_s=10, what="a new socket")
        await wait_for(
            lambda: numbers(main.pictures)[-1] > last + 2 * GOP, within_s=10, what="the picture"
        )
        assert not main.ws.closed
        assert is_decodable(numbers(main.pictures))
        found = numbers(other.pictures)
        assert found == list(range(found[0], found[0] + len(found)))
        assert proxy.opened(b"feed=sub") == 1


async def test_a_viewer_that_stalls_is_cut_off_and_holds_up_no_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_alive, "PING_S", 0.2)
    monkeypatch.setattr(keep_alive, "SILENT_S", 1.5)
    headers = await place.key(Grant(Role.VIEWER, "acme"))
    port = place.web.client.make_url("/").port
    assert port is not None

    def cut_off() -> float:
        return REGISTRY.get_sample_value("vigil_live_stalled_total") or 0

    before = cut_off()
    async with StallingProxy(port) as proxy, aiohttp.ClientSession() as session:
        stalled = Viewer(await session.ws_connect(proxy.url + PATH, headers=headers))
        place.viewers.append(stalled)
        quick = await place.watch()
        await wait_for(lambda: min(stalled.count, quick.count) > GOP, within_s=20, what="pictures")
        assert proxy.stall(b"/live/socket") == 1
        await wait_for(lambda: cut_off() == before + 1, within_s=10, what="the cut")
        seen = quick.count
        await wait_for(lambda: quick.count > seen + GOP, within_s=10, what="pictures of the other")
        found = numbers(quick.pictures)
        assert found == list(range(found[0], found[0] + len(found)))


async def test_a_picture_that_cannot_be_shown_has_a_reason(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "OFFLINE_S", 0.2)
    monkeypatch.setattr(relay, "NO_PICTURE_S", 0.5)
    monkeypatch.setattr(relay, "ASK_S", 0.1)
    await add_camera(place.web.catalog, "acme/hq/other", "Other", T0)
    unknown = await place.watch("/api/v1/cameras/acme/hq/other/live/socket")
    await wait_for(lambda: unknown.ended == "no-link", within_s=10, what="no link")
    await wait_for(lambda: unknown.ws.close_code == 4100, within_s=5, what="its close code")
    place.device.answer = "!The camera is not recorded now: no route."
    silent = await place.watch()
    await wait_for(lambda: silent.ended == "camera-offline", within_s=10, what="no picture")
    (end,) = silent.pictures.texts(LiveKind.END)
    assert end["reason"] == "The camera is not recorded now: no route."
    place.device._tasks[0].cancel()
    await wait_for(lambda: not place.device.connected, within_s=10, what="no device")
    away = await place.watch()
    await wait_for(lambda: away.ended in ("device-offline", "no-link"), within_s=10, what="its end")


async def test_rights_that_are_taken_away_end_the_picture(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_socket, "CHECK_S", 0.1)
    headers = await place.key(Grant(Role.VIEWER, "acme"))
    viewer = await place.watch(PATH, headers)
    await wait_for(lambda: viewer.count > GOP, within_s=20, what="pictures")
    async with place.web.catalog.transaction() as connection:
        await connection.execute("UPDATE api_key_grants SET scope = 'globex' WHERE key = 2")
    place.web.set_now(T0 + 70_000)  # a key is cached for 5 s
    await wait_for(lambda: viewer.ended == "not-allowed", within_s=10, what="the end")
    await wait_for(lambda: viewer.ws.close_code == 4403, within_s=5, what="its close code")

    async def audited() -> bool:
        async with place.web.catalog.transaction() as connection:
            entries = await connection.fetch("SELECT entry::text FROM vigil_audit.entries")
        return any(
            Permission.FOOTAGE_READ in each["entry"] and CAMERA in each["entry"] for each in entries
        )

    await wait_for(audited, within_s=10, what="an entry in the audit log")


async def test_strangers_and_other_pages_get_nothing(place: Place) -> None:
    await add_camera(place.web.catalog, FOREIGN, "Door", T0)
    acme = await place.key(Grant(Role.VIEWER, "acme"))
    foreign = f"/api/v1/cameras/{FOREIGN}/live/socket"
    for path, headers, status in (
        (PATH, {}, 401),
        (foreign, acme, 404),
        ("/api/v1/cameras/globex/plant/none/live/socket", acme, 404),
        (PATH, await place.key(Grant(Role.MONITOR, "acme")), 403),
        (f"{PATH}?feed=other", acme, 400),
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await place.web.stranger.ws_connect(path, headers=headers)
        assert refused.value.status == status, (path, status)
    plain = await place.web.client.get(PATH)
    assert plain.status == 426
    key = place.web.key
    answer = await place.web.stranger.post("/api/v1/session", json={"key": key})
    assert answer.status < 300
    own = str(place.web.client.make_url("/")).rstrip("/")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await place.web.stranger.ws_connect(PATH, headers={"Origin": "https://evil.example"})
    assert refused.value.status == 403
    page = await place.web.stranger.ws_connect(PATH, headers={"Origin": own})
    await page.close()


async def test_too_many_sockets_of_one_principal_are_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_socket, "MAX_PER_PRINCIPAL", 2)
    two = [await place.watch() for _ in range(2)]
    third = await place.watch()
    await wait_for(lambda: third.ended == "busy", within_s=10, what="the refusal")
    await wait_for(lambda: all(each.count for each in two), within_s=20, what="pictures")


async def test_a_device_sends_only_its_own_sites_pictures(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "CHECK_S", 0.1)
    viewer = await place.watch()
    await wait_for(lambda: viewer.count > 0, within_s=20, what="pictures")
    worker = place.workers[0]
    async with aiohttp.ClientSession() as session:
        live = f"/device/v1/live?camera={CAMERA}"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(worker.url("globex/plant/box") + live)
        assert refused.value.status == 403
        # what another device of the site sends must be what it claims to be
        for bad in (b"\x09", '{"type":"format","codecs":"<script>","width":1,"height":1}'):
            async with session.ws_connect(worker.url("acme/hq/second") + live) as ws:
                await (ws.send_bytes(bad) if isinstance(bad, bytes) else ws.send_str(bad))
                message = await asyncio.wait_for(ws.receive(), 10)
                assert message.type is aiohttp.WSMsgType.CLOSE
                assert message.data == 1003
        worker.refused.add("acme/hq/box")
        (sender,) = place.device.senders.values()
        await wait_for(
            lambda: "1003" not in str(sender) and _closes(place, 4003), within_s=10, what="the cut"
        )


def _closes(place: Place, code: int) -> bool:
    del code
    return all(
        picture.publisher is None
        for worker in place.workers
        for picture in worker.relay._pictures.values()
    )


async def test_workers_alone_reach_the_internal_address(place: Place) -> None:
    address = place.workers[0].service.worker.address
    async with aiohttp.ClientSession() as session:
        for path in (relay.WATCH_PATH, relay.PUBLISH_PATH, "/internal/v1/live/ask"):
            url = f"{address}{path}?camera={CAMERA}&feed=main"
            async with session.get(url) as answer:
                assert answer.status in (401, 405)
