"""/api/v1/events: what a client gets, what it misses, and when it is cut."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator

import pytest

from domain.access import Grant, Permission, Role
from domain.events import Detection, Heartbeat
from stores.catalog import add_camera, index_detections, index_fragments, index_heartbeats
from stores.catalog.keys import create_key, revoke_key
from stores.catalog.live_events import (
    KEPT_MS,
    open_epoch,
    parse_position,
    read_events,
    trim_events,
)
from tests.event_source import EventSource, labels, labels_of
from tests.integration.catalog_support import CAMERA, T0, fragment, run_id, seen
from tests.integration.web_support import Web, running_web
from tests.waiting import wait_for
from web import event_feed, events
from web.schemas.events import CameraEvent, DetectionEvent, DeviceEvent, FootageEvent

NOW = T0 + 60_000
OTHER, FOREIGN = "acme/lab/desk", "globex/plant/door"
PATH = "/api/v1/events"


@pytest.fixture
async def web(services, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    monkeypatch.setattr(event_feed, "POLL_S", 0.02)
    monkeypatch.setattr(event_feed, "STATES_S", 0.02)
    monkeypatch.setattr(events, "CHECK_S", 0.05)
    async with running_web(services) as running:
        for camera in (OTHER, FOREIGN):
            await add_camera(running.catalog, camera, camera, T0)
        yield running
        await running.services.events.close()


@contextlib.asynccontextmanager
async def other_worker(web: Web, services) -> AsyncIterator[Web]:
    """Serve the same catalog once more, as another worker does."""
    async with running_web(services, existing=web) as running:
        yield running
        await running.services.events.close()


async def detect(web: Web, *detections: Detection) -> None:
    await index_detections(web.catalog, detections, NOW)


async def key_headers(web: Web, *grants: Grant) -> dict[str, str]:
    return {"Authorization": f"Bearer {await create_key(web.catalog, 'key', T0, None, grants)}"}


# -- what is sent


async def test_a_client_gets_states_first_then_what_is_new(web: Web) -> None:
    await detect(web, seen(CAMERA, "before"))
    async with EventSource(web.client, PATH) as source:
        assert source.response is not None
        assert source.response.headers["Cache-Control"] == "no-store"
        cameras = await source.next()
        assert cameras.name == "camera"
        assert [each["id"] for each in cameras.data["cameras"]] == [CAMERA, OTHER, FOREIGN]
        assert {each["state"] for each in cameras.data["cameras"]} == {"new"}
        await detect(web, seen(CAMERA, "person", "dog"), seen(FOREIGN, "car"))
        first, second = await source.next(), await source.next()
        assert first.data == {
            "camera": CAMERA,
            "run": run_id(),
            "model": "people",
            "model_version": "1",
            "detections": [
                {
                    "at_ms": NOW,
                    "pts": first.data["detections"][0]["pts"],
                    "index": index,
                    "label": label,
                    "score": 0.5,
                    "box": [0.25, 0.25, 0.5, 0.5],
                    "track": None,
                }
                for index, label in enumerate(["person", "dog"])
            ],
        }
        DetectionEvent.model_validate(first.data)
        CameraEvent.model_validate(cameras.data)
        assert second.data["camera"] == FOREIGN
        assert 1_000 <= (source.retry_ms or 0) <= 4_000


async def test_states_that_change_are_sent(web: Web) -> None:
    async with EventSource(web.client, f"{PATH}?kind=camera&kind=device") as source:
        await source.next("camera")
        await index_fragments(web.catalog, [fragment(run_id(), 0, start_ms=NOW - 4_000)], NOW)
        changed = await source.next("camera")
        assert [(each["id"], each["state"]) for each in changed.data["cameras"]] == [
            (CAMERA, "recording")
        ]
        web.set_now(NOW + 30_000)
        assert (await source.next("camera")).data["cameras"][0]["state"] == "late"
        heartbeat = Heartbeat(
            site="acme/hq",
            edge="edge-1",
            sent_ms=NOW,
            software="1",
            spool_bytes=0,
            spool_waiting=0,
            disk_free_bytes=1 << 40,
            cameras=[],
        )
        await index_heartbeats(web.catalog, [heartbeat], NOW)
        event = await source.next("device")
        DeviceEvent.model_validate(event.data)
        device = event.data["devices"][0]
        assert (device["site"], device["edge"], device["state"]) == ("acme/hq", "edge-1", "ok")
        web.set_now(NOW + 100_000)
        assert (await source.next("device")).data["devices"][0]["state"] == "silent"
        again = EventSource(web.client, f"{PATH}?kind=device")
        async with again:
            assert (await again.next()).data["devices"][0]["state"] == "silent"


async def test_newer_footage_is_sent_to_those_who_ask_for_it(web: Web) -> None:
    run = run_id()
    await index_fragments(web.catalog, [fragment(run, 0, start_ms=NOW - 8_000)], NOW)
    async with EventSource(web.client, f"{PATH}?kind=footage&camera={CAMERA}") as source:
        await index_fragments(web.catalog, [fragment(run, 1, start_ms=NOW - 4_000)], NOW)
        found = await source.next("footage")
        assert found.data["cameras"] == [{"id": CAMERA, "last_ms": NOW}]
        FootageEvent.model_validate(found.data)
    async with EventSource(web.client, PATH) as source:
        await source.next("camera")
        await index_fragments(web.catalog, [fragment(run, 2, start_ms=NOW)], NOW)
        await detect(web, seen(CAMERA, "person"))
        assert (await source.next("footage", "detection")).name == "detection"


async def test_what_is_stored_twice_or_again_is_one_event(web: Web) -> None:
    async with EventSource(web.client, f"{PATH}?kind=detection") as source:
        twice = seen(CAMERA, "once")
        await detect(web, twice, twice)
        await detect(web, twice)
        await index_detections(web.catalog, [seen(CAMERA, "of a rebuild")])
        await detect(web, seen(CAMERA, "last"))
        assert await labels(source, 2) == ["once", "last"]


async def test_many_objects_are_several_events(web: Web) -> None:
    async with EventSource(web.client, f"{PATH}?kind=detection") as source:
        names = [f"n{number}" for number in range(450)]
        await detect(web, seen(CAMERA, *names))
        assert await labels(source, 450) == names


# -- who gets what


async def test_a_client_gets_what_it_may_see_and_wants(web: Web) -> None:
    viewer = await key_headers(web, Grant(Role.VIEWER, "acme"))
    narrow = await key_headers(web, Grant(Role.VIEWER, CAMERA), Grant(Role.VIEWER, "globex"))
    paths = {
        "all": (f"{PATH}?kind=detection", viewer),
        "site": (f"{PATH}?kind=detection&site=acme/lab", viewer),
        "camera": (f"{PATH}?kind=detection&camera={CAMERA}&camera={OTHER}", viewer),
        "parts": (f"{PATH}?kind=detection&site=acme/hq", narrow),
        "narrow": (f"{PATH}?kind=detection", narrow),
    }
    expected = {
        "all": ["gate", "desk", "end"],
        "site": ["desk"],
        "camera": ["gate", "desk", "end"],
        "parts": ["gate", "end"],
        "narrow": ["gate", "door", "end"],
    }
    async with contextlib.AsyncExitStack() as stack:
        sources = {
            name: await stack.enter_async_context(EventSource(web.stranger, path, headers))
            for name, (path, headers) in paths.items()
        }
        for camera, label in (
            (CAMERA, "gate"),
            (OTHER, "desk"),
            (FOREIGN, "door"),
            (CAMERA, "end"),
        ):
            await detect(web, seen(camera, label))
        for name, wanted in expected.items():
            assert await labels(sources[name], len(wanted)) == wanted, name


async def test_a_client_learns_nothing_of_others(web: Web) -> None:
    viewer = await key_headers(web, Grant(Role.VIEWER, "acme"))
    texts = []
    for wanted in ("camera=globex/plant/door", "camera=globex/plant/none"):
        answer = await web.stranger.get(f"{PATH}?{wanted}", headers=viewer)
        assert answer.status == 404
        problem = await answer.json()
        del problem["request_id"]
        texts.append(json.dumps(problem).replace(wanted.rsplit("/", 1)[1], ""))
    assert texts[0] == texts[1]
    for query, status in (
        ("kind=nothing", 400),
        ("site=globex/plant", 404),
        ("camera=..", 404),
        ("&".join(["camera=acme/hq/gate"] * 201), 400),
    ):
        assert (await web.stranger.get(f"{PATH}?{query}", headers=viewer)).status == status, query
    monitor = await key_headers(web, Grant(Role.MONITOR, "*"))
    assert (await web.stranger.get(PATH, headers=monitor)).status == 403
    assert (await web.stranger.get(PATH)).status == 401


async def test_streamed_detections_are_in_the_audit_log(web: Web) -> None:
    viewer = await key_headers(web, Grant(Role.VIEWER, "acme"))
    path = f"{PATH}?camera={CAMERA}&site=acme/lab"
    async with EventSource(web.stranger, path, viewer) as source:
        await source.next("camera")
        await detect(web, seen(CAMERA, "one"))
        await labels(source, 1)
        web.set_now(NOW + 60_000)

        async def entries() -> list[tuple[str, str]]:
            async with web.catalog.transaction() as connection:
                rows = await connection.fetch("SELECT entry FROM vigil_audit.entries")
            found = [json.loads(row["entry"]) for row in rows]
            return [
                (each["actor"], each["resource"])
                for each in found
                if each["action"] == Permission.DETECTIONS_READ
            ]

        async def two_minutes() -> bool:
            return len(await entries()) >= 4

        await wait_for(two_minutes, within_s=20, what="two entries of each of two minutes")
        assert sorted(set(await entries())) == [("key:2", CAMERA), ("key:2", "acme/lab")]


async def test_a_right_that_is_taken_away_cuts_the_stream(web: Web) -> None:
    headers = await key_headers(web, Grant(Role.VIEWER, "acme"))
    async with EventSource(web.stranger, f"{PATH}?kind=detection", headers) as source:
        await detect(web, seen(CAMERA, "one"))
        assert await labels(source, 1) == ["one"]
        async with web.catalog.transaction() as connection:
            await connection.execute("UPDATE api_key_grants SET scope = 'globex' WHERE key = 2")
        web.set_now(NOW + 6_000)  # a key is cached for 5 s
        assert (await source.next("end")).data == {"reason": "rights-changed"}
        with pytest.raises(EOFError):
            await source.next()
        await detect(web, seen(CAMERA, "hidden"), seen(FOREIGN, "shown"))
        await source.connect()
        assert await labels(source, 1) == ["shown"], "what was missed, by the rights of now"
        await revoke_key(web.catalog, 2, NOW)
        web.set_now(NOW + 12_000)
        assert (await source.next("end")).data == {"reason": "signed-out"}
        assert (await source.connect()).status == 401


async def test_a_client_that_does_not_read_is_cut_too(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "GRACE_S", 0.05)
    headers = await key_headers(web, Grant(Role.VIEWER, "acme"))
    async with EventSource(web.stranger, f"{PATH}?kind=detection", headers):
        await wait_for(
            lambda: _fill(web), within_s=30, what="the queue of a client that does not read is full"
        )
        await revoke_key(web.catalog, 2, NOW)
        web.set_now(NOW + 6_000)
        feed = web.services.events
        await wait_for(lambda: not feed._subscriptions, within_s=20, what="the stream is cut")


# -- bounds


async def _fill(web: Web) -> bool:
    """Write events until the queue of the only client overflows."""
    (subscription,) = web.services.events._subscriptions
    await detect(web, *(seen(CAMERA, *(["x" * 100] * 200)) for _ in range(40)))
    assert len(subscription.queue) <= event_feed.MAX_QUEUED
    assert subscription.queued_bytes <= event_feed.MAX_QUEUED_BYTES
    return subscription.overflowed


async def test_a_slow_client_is_bounded_and_misses_nothing(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "MAX_QUEUED_BYTES", 256 << 10)
    async with EventSource(web.client, f"{PATH}?kind=detection") as source:
        await wait_for(lambda: _fill(web), within_s=30, what="the queue is full")
        await detect(web, seen(CAMERA, "last"))
        async with web.catalog.transaction() as connection:
            stored = await connection.fetchval("SELECT count(*) FROM detections")
        found = await labels(source, stored)
        assert found[-1] == "last"
        assert set(found[:-1]) == {"x" * 100}


async def test_streams_are_counted(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "MAX_PER_PRINCIPAL", 2)
    monkeypatch.setattr(event_feed, "MAX_STREAMS", 3)
    other = await key_headers(web, Grant(Role.VIEWER, "acme"))
    feed = web.services.events
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(EventSource(web.client, PATH))
        assert (await web.client.get(PATH)).status == 429
        await stack.enter_async_context(EventSource(web.stranger, PATH, other))
        full = await web.stranger.get(PATH, headers=other)
        assert (full.status, full.headers["Retry-After"]) == (503, "5")
    await wait_for(lambda: not feed._subscriptions, within_s=20, what="the streams are gone")
    assert not feed._by_scope
    assert not feed._by_principal
    assert feed._poller is not None
    await asyncio.wait_for(feed._poller, 20)  # without clients nothing is read


# -- resuming


async def test_a_client_goes_on_at_another_worker(web: Web, services) -> None:
    """The first worker is gone without a word; events go on all the time."""
    dice = random.Random(11)
    async with other_worker(web, services) as second:
        source = EventSource(web.client, f"{PATH}?kind=detection&site=acme/hq")
        got: list[str] = []
        sent: list[str] = []
        workers = [web.client, second.client]
        await source.connect()
        for turn in range(12):
            for _ in range(dice.randint(0, 4)):
                sent.append(f"e{len(sent)}")
                await detect(web, seen(CAMERA, sent[-1]), seen(OTHER, "not wanted"))
            for _ in range(dice.randint(0, len(sent) - len(got))):
                got += labels_of(await source.next("detection"))
            source._client = workers[turn % 2]
            await source.connect()
        got += await labels(source, len(sent) - len(got))
        assert got == sent
        await source.close()


async def test_a_transaction_that_commits_late_is_not_missed(web: Web) -> None:
    async with EventSource(web.client, f"{PATH}?kind=detection") as source:
        connection = await web.catalog._pool.acquire()  # type: ignore[union-attr]
        try:
            open_one = connection.transaction()
            await open_one.start()
            await connection.execute(
                "INSERT INTO live_events (camera, created_ms, event) VALUES ($1, $2, $3)",
                *(CAMERA, NOW, '{"detections": [{"label": "early"}]}'),
            )
            await detect(web, seen(CAMERA, "late"))
            await web.services.events.poll_detections()
            await web.services.events.poll_detections()
            await open_one.commit()
        finally:
            await web.catalog._pool.release(connection)  # type: ignore[union-attr]
        assert await labels(source, 2) == ["early", "late"]


async def test_a_client_learns_what_is_not_kept_any_more(web: Web, monkeypatch) -> None:
    source = EventSource(web.client, f"{PATH}?kind=detection")
    async with source:
        await detect(web, seen(CAMERA, "one"))
        assert await labels(source, 1) == ["one"]
    await detect(web, seen(CAMERA, "two"))
    await detect(web, seen(CAMERA, "three"))
    await wait_for(lambda: _trimmed(web, NOW + KEPT_MS + 1), within_s=10, what="two are deleted")
    await detect(web, seen(CAMERA, "four"))
    await source.connect()
    lost = await source.next()
    assert (lost.name, lost.data) == ("lost", {"reason": "the events are not kept any more"})
    assert await labels(source, 1) == ["four"]
    epoch = source.last_event_id.split("-")[1]
    for wrong in ("nonsense", "1-00000000-5-5", f"1-{epoch}-999999999999-1", "1-x"):
        source.last_event_id = wrong
        await source.connect()
        assert (await source.next()).name == "lost", wrong
    await detect(web, seen(CAMERA, "five"))
    assert await labels(source, 1) == ["five"]
    # PostgreSQL crashed: unlogged tables are empty.
    async with web.catalog.transaction() as connection:
        await connection.execute("TRUNCATE live_events, live_epoch")
    assert (await source.next("lost")).data["reason"] == "the events are not kept any more"
    await detect(web, seen(CAMERA, "six"))
    assert await labels(source, 1) == ["six"]
    monkeypatch.setattr(events, "MAX_REPLAY", 4)
    monkeypatch.setattr(events, "REPLAY_PAGE", 2)
    await source.close()
    for number in range(9):
        await detect(web, seen(CAMERA, f"n{number}"))
    after = parse_position(source.last_event_id)

    async def all_are_readable() -> bool:
        page = await read_events(web.catalog, after, 20)
        return len(page.events) == 9 and not web.services.events._subscriptions

    await wait_for(all_are_readable, within_s=10, what="nine events can be read")
    await source.connect()
    assert await labels(source, 4) == ["n0", "n1", "n2", "n3"]
    assert (await source.next()).data["reason"] == "there were too many events to send"
    await detect(web, seen(CAMERA, "end"))
    assert await labels(source, 1) == ["end"]
    await source.close()


async def _trimmed(web: Web, now_ms: int) -> bool:
    return await trim_events(web.catalog, now_ms) > 0


async def test_a_client_may_name_the_event_in_the_address(web: Web) -> None:
    async with EventSource(web.client, f"{PATH}?kind=detection") as source:
        await detect(web, seen(CAMERA, "one"))
        await labels(source, 1)
        await detect(web, seen(CAMERA, "two"))
        path = f"{PATH}?kind=detection&last_event_id={source.last_event_id}"
        async with EventSource(web.client, path) as again:
            assert await labels(again, 1) == ["two"]


async def test_a_worker_that_stops_says_so(web: Web) -> None:
    async with EventSource(web.client, f"{PATH}?kind=detection") as source:
        await detect(web, seen(CAMERA, "one"))
        await labels(source, 1)
        await web.services.events.close()
        assert (await source.next("end")).data == {"reason": "restart"}
        with pytest.raises(EOFError):
            await source.next()
        assert (await source.connect()).status == 503


async def test_heartbeats_move_the_position(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    headers = await key_headers(web, Grant(Role.VIEWER, "globex"))
    async with EventSource(web.stranger, f"{PATH}?kind=detection", headers) as source:
        first = await source.next("heartbeat")
        await detect(web, seen(CAMERA, "of another tenant"))
        before = parse_position(first.id)
        assert before is not None
        while (now := parse_position((await source.next("heartbeat")).id)) == before:
            pass
        assert now is not None
        assert now > before


async def test_old_and_surplus_events_are_deleted(web: Web, monkeypatch) -> None:
    await open_epoch(web.catalog)
    start = (await read_events(web.catalog, None, 0)).end
    for number in range(6):
        await detect(web, seen(CAMERA, f"n{number}"))
    assert await trim_events(web.catalog, NOW) == 0
    monkeypatch.setattr("stores.catalog.live_events.MAX_ROWS", 4)
    assert await trim_events(web.catalog, NOW) == 2

    async def is_read() -> bool:
        page = await read_events(web.catalog, start, 10)
        return page.lost and len(page.events) == 4

    await wait_for(is_read, within_s=10, what="four events are kept")
    async with web.catalog.transaction() as connection:
        await connection.execute("SELECT FROM live_epoch FOR UPDATE")
        assert await trim_events(web.catalog, NOW + 2 * KEPT_MS) == 0, "another worker's turn"
    assert await trim_events(web.catalog, NOW + 2 * KEPT_MS) == 4
