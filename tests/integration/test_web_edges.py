"""The newest reports of the edge devices, over HTTP."""

from collections.abc import AsyncIterator
from dataclasses import asdict

import pytest

from domain.camera_state import STATE_LIMITS
from domain.events import CameraStatus, Heartbeat
from stores.catalog import index_heartbeats
from stores.catalog.keys import create_key
from tests.integration.catalog_support import CAMERA, T0
from tests.integration.web_support import Web, running_web

PATH = "/api/v1/edges"


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


def beat(edge: str, sent_ms: int, **more: object) -> Heartbeat:
    given = {"spool_bytes": 5, "spool_waiting": 2, "disk_free_bytes": 9, **more}
    return Heartbeat(site="acme/hq", edge=edge, sent_ms=sent_ms, **given)


async def test_the_newest_heartbeat_of_each_device_counts(web: Web) -> None:
    web.set_now(T0 + 60_000)
    assert await (await web.client.get(PATH)).json() == {
        "now_ms": T0 + 60_000,
        "limits": asdict(STATE_LIMITS),
        "edges": [],
        "next": None,
    }
    failing = CameraStatus(camera=CAMERA, state="failing", since_ms=T0, detail="no data for 10 s")
    await index_heartbeats(web.catalog, [beat("two", T0), beat("one", T0)], T0 + 1)
    newer = beat("one", T0 + 10_000, spool_oldest_ms=T0 - 5, cameras=[failing], config_version=3,
                 config_state="refused", config_detail="why",
                 clock_state="synchronised", clock_error_ms=34,
                 version=2, identity_state="enrolled", identity_generation=7,
                 identity_renew_ms=T0 + 1, identity_expires_ms=T0 + 2,
                 clock_trust="agreed")  # fmt: skip
    await index_heartbeats(web.catalog, [newer], T0 + 10_001)
    answer = await web.client.get(PATH)
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    one, two = (await answer.json())["edges"]
    assert (one["edge"], two["edge"]) == ("one", "two")
    assert (one["heard_ms"], one["spool_oldest_ms"]) == (T0 + 10_001, T0 - 5)
    assert one["cameras"] == [failing.model_dump()]
    assert (one["config_version"], one["config_state"]) == (3, "refused")
    assert (one["clock_state"], one["clock_error_ms"]) == ("synchronised", 34)
    names = ("identity_state", "identity_generation", "identity_renew_ms", "identity_expires_ms",
             "clock_trust")  # fmt: skip
    assert [one[name] for name in names] == ["enrolled", 7, T0 + 1, T0 + 2, "agreed"]
    assert [two[name] for name in names] == [None] * 5
    assert (two["clock_state"], two["clock_error_ms"]) == (None, None)
    assert (two["spool_oldest_ms"], two["cameras"], two["config_state"]) == (None, [], None)


async def test_it_asks_for_a_person_s_key(web: Web) -> None:
    assert (await web.stranger.get(PATH)).status == 401
    key = await create_key(web.catalog, "device", T0, edge_of="acme/hq")
    headers = {"Authorization": f"Bearer {key}"}
    assert (await web.stranger.get(PATH, headers=headers)).status == 403
