"""Commands over the API: who may, which bounds, and that the answer of a device comes back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import ClientResponse

from domain.access import Grant, Role
from domain.commands import MAX_OPEN, PRINCIPAL_PER_MINUTE
from domain.events import Heartbeat
from domain.times import utc_ms
from stores.catalog import add_camera, index_heartbeats
from stores.catalog.keys import create_key
from streams.settings import get_settings
from tests.integration.catalog_support import CAMERA, T0, scalar
from tests.integration.link_support import (
    DEVICE,
    Worker,
    link_settings,
    make_topic,
    running_device,
    running_worker,
)
from tests.integration.web_support import Web, running_web
from tests.waiting import wait_for

PATH = f"/api/v1/edges/{DEVICE}/commands"


@dataclass
class Place:
    web: Web
    worker: Worker

    admin: dict[str, str]

    async def post(self, body: dict[str, str], path: str = PATH, **headers: str) -> ClientResponse:
        """Give a command as an admin, or with other headers."""
        sent = self.admin | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.web.stranger.post(path, json=body, headers=sent)

    async def get(self, path: str) -> ClientResponse:
        """Read as an admin."""
        return await self.web.stranger.get(path, headers=self.admin)

    async def linked(self) -> bool:
        answer = await self.get("/api/v1/edges")
        edges = (await answer.json())["edges"]
        return edges[0]["link_since_ms"] is not None

    async def key(self, *grants: Grant) -> dict[str, str]:
        key = await create_key(self.web.catalog, "key", T0, None, grants)
        return {"Authorization": f"Bearer {key}"}


@pytest.fixture
async def place(services) -> AsyncIterator[Place]:
    made = link_settings(services.settings, services.settings.database_url.get_secret_value())
    more = {
        "VIGIL_TOPIC_PREFIX": made.topic_prefix,
        "VIGIL_PARTITIONS": "2",
        "VIGIL_LINK_PING_S": "5",
    }
    async with running_web(services, **more) as web:
        settings = get_settings()
        await make_topic(settings)
        web.services.clock_ms = utc_ms
        await add_camera(web.catalog, "globex/plant/door", "Door", T0)
        await index_heartbeats(
            web.catalog,
            [
                Heartbeat(
                    site="acme/hq", edge="box", sent_ms=T0, spool_bytes=0, spool_waiting=0,
                    disk_free_bytes=1,
                )
            ],
            T0,
        )  # fmt: skip
        async with running_worker(settings, web.catalog) as worker:
            await wait_for(lambda: worker.service.ready, within_s=10, what="the worker is ready")
            place = Place(web, worker, {})
            place.admin = await place.key(Grant(Role.ADMIN, "*"))
            yield place


async def test_a_command_and_its_answer(place: Place) -> None:
    async with running_device(place.worker) as device:
        await wait_for(place.linked, within_s=10, what="the device is connected")
        body = {"kind": "snapshot", "camera": CAMERA}
        given = await place.post(body, Idempotency_Key="once")
        assert given.status == 201
        command = await given.json()
        assert command["state"] == "sent"
        location = given.headers["Location"]
        assert location == f"{PATH}/{command['id']}"
        answer = await (await place.get(f"{location}?wait=20")).json()
        assert (answer["state"], answer["detail"]) == ("answered", "Done.")
        assert answer["body_type"] == "image/jpeg"
        picture = await place.get(f"{location}/body")
        assert picture.status == 200
        assert picture.content_type == "image/jpeg"
        assert (await picture.read()).startswith(b"\xff\xd8\xff")
        replayed = await place.post(body, Idempotency_Key="once")
        assert (await replayed.json())["id"] == command["id"]
        assert [each.id for each in device.done] == [command["id"]]
        listed = await (await place.get(PATH)).json()
        assert [each["id"] for each in listed["commands"]] == [command["id"]]
        entries = await scalar(
            place.web.catalog,
            "SELECT count(*) FROM vigil_audit.entries "
            "WHERE entry::jsonb->>'action' = 'device:snapshot'",
        )
        assert entries == 1


async def test_what_is_not_allowed_or_does_not_exist(place: Place) -> None:
    stranger = place.web.stranger

    async def post(body: dict[str, str], headers: dict[str, str] | None = None, path=PATH) -> int:
        sent = place.admin if headers is None else headers
        return (await stranger.post(path, json=body, headers=sent)).status

    # Another tenant's camera, a camera that does not exist, a device that does not exist.
    assert await post({"kind": "snapshot", "camera": "globex/plant/door"}) == 404
    assert await post({"kind": "snapshot", "camera": "acme/hq/no-such"}) == 404
    assert await post({"kind": "clock-check"}, path=PATH.replace("box", "no-such")) == 404
    assert await post({"kind": "snapshot"}) == 400
    assert await post({"kind": "clock-check", "camera": CAMERA}) == 400
    assert await post({"kind": "live", "camera": CAMERA}) == 400
    assert await post({"kind": "format-disk"}) == 400
    viewer = await place.key(Grant(Role.VIEWER, CAMERA))
    assert await post({"kind": "snapshot", "camera": CAMERA}, viewer) == 201
    assert await post({"kind": "diagnostics"}, viewer) == 403
    foreign = await place.key(Grant(Role.ADMIN, "globex"))
    assert await post({"kind": "diagnostics"}, foreign) == 404
    assert await post({"kind": "snapshot", "camera": CAMERA}, foreign) == 404
    # Each sees the commands that he may give.
    assert await post({"kind": "diagnostics"}) == 201
    mine = await (await stranger.get(PATH, headers=viewer)).json()
    assert [each["kind"] for each in mine["commands"]] == ["snapshot"]
    both = await (await place.get(PATH)).json()
    assert [each["kind"] for each in both["commands"]] == ["diagnostics", "snapshot"]
    hidden = both["commands"][0]["id"]
    assert (await stranger.get(f"{PATH}/{hidden}", headers=viewer)).status == 404
    assert (await stranger.get(PATH, headers=foreign)).status == 404


async def test_a_flood_is_refused_and_a_device_that_is_away_lets_commands_expire(
    place: Place,
) -> None:
    statuses = [(await place.post({"kind": "clock-check"})).status for _ in range(MAX_OPEN + 1)]
    assert statuses == [201] * MAX_OPEN + [429]
    now_ms = utc_ms() + 20_000
    place.web.set_now(now_ms)
    listed = (await (await place.get(PATH)).json())["commands"]
    assert {each["state"] for each in listed} == {"expired"}
    place.worker.service.hub._clock_ms = lambda: now_ms
    await place.worker.service.hub.check(1)
    listed = (await (await place.get(PATH)).json())["commands"]
    assert {each["detail"] for each in listed} == {"The device is not connected."}
    # Each user has a bound of his own, over all devices.
    await scalar(
        place.web.catalog,
        "INSERT INTO edge_commands (id, device, kind, principal, sent_by, sent_ms, deadline_ms, "
        "state) SELECT md5(n::text), 'acme/hq/other', 'clock-check', principal, '', $1, $1, "
        "'answered' FROM generate_series(1, $2) AS n, "
        "(SELECT principal FROM edge_commands LIMIT 1) AS mine",
        now_ms,
        PRINCIPAL_PER_MINUTE,
    )
    refused = await place.post({"kind": "clock-check"})
    assert refused.status == 429
    assert "You gave" in (await refused.json())["detail"]
    other = await place.key(Grant(Role.ADMIN, "acme"))
    given = await place.web.stranger.post(PATH, json={"kind": "clock-check"}, headers=other)
    assert given.status == 201
