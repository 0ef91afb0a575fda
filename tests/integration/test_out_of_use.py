"""Cameras and devices out of use: off the lists by a command, and back when they speak again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cli.main import main
from domain.events import Heartbeat
from stores.catalog import add_camera, index_fragments, index_heartbeats, known_cameras
from stores.catalog.site_health import SiteHealth, site_health
from tests.integration.catalog_support import CAMERA, T0, fragment, run_id
from tests.integration.web_support import BASE, Web, running_web

SITE = "acme/hq"


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


async def command(capsys, *arguments: str) -> str:
    """Run `vigil`; return what it prints, or why it refuses."""
    with pytest.raises(SystemExit) as left:
        await asyncio.to_thread(main, list(arguments))
    return capsys.readouterr().out if left.value.code == 0 else str(left.value.code)


async def shown(web: Web, query: str = "") -> list[str]:
    answer = await (await web.client.get(f"/api/v1/cameras{query}")).json()
    return [each["id"] for each in answer["cameras"]]


async def edges(web: Web) -> list[str]:
    answer = await (await web.client.get("/api/v1/edges")).json()
    return [each["edge"] for each in answer["edges"]]


async def test_a_retired_camera_is_hidden_until_it_sends_footage(web: Web, capsys) -> None:
    run = run_id()
    await index_fragments(web.catalog, [fragment(run, 0)], T0)
    assert await shown(web) == [CAMERA]
    assert "is out of use" in await command(capsys, "camera", "retire", CAMERA)
    assert await shown(web) == []
    assert await shown(web, "?retired=1") == [CAMERA]
    assert (await web.client.get(BASE)).status == 200, "its footage can still be seen"
    assert await known_cameras(web.catalog) == {CAMERA}, "its events are still accepted"
    assert "out of use" in await command(capsys, "camera", "list")
    # A backlog from before it was retired does not bring it back. The command used the real clock.
    await index_fragments(web.catalog, [fragment(run, 1)], T0)
    assert await shown(web) == []
    later = fragment(run, 2, start_ms=1 << 42)
    web.set_now((1 << 42) + 60_000)
    await index_fragments(web.catalog, [later], 1 << 42)
    assert await shown(web) == [CAMERA]


async def test_a_retired_camera_that_is_added_again_is_back(web: Web, capsys) -> None:
    await command(capsys, "camera", "retire", CAMERA)
    assert await shown(web) == []
    assert not await add_camera(web.catalog, CAMERA, "Gate", T0)
    assert await shown(web) == [CAMERA]
    assert "not registered" in await command(capsys, "camera", "retire", f"{SITE}/nothing")


async def test_forgotten_devices_come_back_with_a_heartbeat(web: Web, capsys) -> None:
    def beat(edge: str, sent_ms: int) -> Heartbeat:
        return Heartbeat(
            site=SITE, edge=edge, sent_ms=sent_ms, spool_bytes=0, spool_waiting=0, disk_free_bytes=9
        )

    old, new = beat("old", T0 - 86_400_000), beat("new", 1 << 42)
    await index_heartbeats(web.catalog, [old], T0 - 86_400_000)
    await index_heartbeats(web.catalog, [new], 1 << 42)
    assert await edges(web) == ["new", "old"]
    assert "has no device x" in await command(capsys, "edge", "forget", SITE, "x")
    assert "Name a site and a device" in await command(capsys, "edge", "forget", SITE)
    assert "Forgot new" in await command(capsys, "edge", "forget", SITE, "new")
    assert await edges(web) == ["old"]
    await index_heartbeats(web.catalog, [new], 1 << 42)
    await web.catalog.rows("forget_silent_edges", T0)
    assert await edges(web) == ["new"]
    assert "No device" in await command(capsys, "edge", "forget", "--silent-days", "3")


async def test_the_health_of_a_site_rests_on_what_the_cloud_expects(web: Web, capsys) -> None:
    """A silent site is counted; what is out of use is not."""
    now_ms = 1 << 42
    await add_camera(web.catalog, f"{SITE}/new", "never sent", T0)
    await index_fragments(web.catalog, [fragment(run_id(), 0, start_ms=now_ms - 5_000)], now_ms)
    beat = {"site": SITE, "spool_bytes": 0, "spool_waiting": 0, "disk_free_bytes": 1}
    beats = [Heartbeat(edge=each, sent_ms=now_ms, **beat) for each in ("one", "two")]
    await index_heartbeats(web.catalog, beats[:1], now_ms - 200_000)
    await index_heartbeats(web.catalog, beats[1:], now_ms)

    async def here(at_ms: int) -> SiteHealth:
        return next(each for each in await site_health(web.catalog, at_ms) if each.site == SITE)

    assert await here(now_ms) == SiteHealth(SITE, (await here(0)).unsigned, 1, 1, 2, 1)
    later = await here(now_ms + 600_000)
    assert (later.cameras, later.cameras_sending) == (1, 0)
    assert (later.edges, later.edges_online) == (2, 0)
    assert "is out of use" in await command(capsys, "camera", "retire", CAMERA)
    assert (await here(now_ms + 600_000)).cameras == 0
