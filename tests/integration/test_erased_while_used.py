"""A tenant that is erased while it records and its people watch: clear answers, never a 500."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from agents.erasure.tenant_eraser import TenantEraser
from domain.access import Grant, Role
from domain.audit import BY_SYSTEM
from stores.catalog import erasure, index_chunks, index_fragments
from tests.event_source import EventSource
from tests.integration.catalog_support import CAMERA, T0, fragment, run_id
from tests.integration.test_sign_in import Browser, add
from tests.integration.test_web_resources import Client, client
from tests.integration.web_support import Web, running_web, store_chunk, store_fragment
from web import event_feed, events
from web.sessions import RECHECK_MS

NOW = T0 + 60_000
SPAN = f"from={T0}&to={T0 + 60_000}"
PATHS = (
    "/cameras", f"/cameras/{CAMERA}", f"/cameras/{CAMERA}/timeline?{SPAN}",
    f"/cameras/{CAMERA}/playlist.m3u8?{SPAN}", f"/cameras/{CAMERA}/thumbnail.jpg",
    f"/cameras/{CAMERA}/detections?{SPAN}", "/tenants/acme", "/users", "/keys", "/holds", "/edges",
    "/retention/rules",
)  # fmt: skip


@pytest.fixture
async def web(services, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    monkeypatch.setattr(event_feed, "POLL_S", 0.02)
    monkeypatch.setattr(event_feed, "STATES_S", 0.02)
    monkeypatch.setattr(events, "CHECK_S", 0.05)
    async with running_web(services) as running:
        running.store.bucket = f"erased-{uuid.uuid4().hex[:8]}"
        await running.store._client.create_bucket(Bucket=running.store.bucket)
        yield running
        await running.services.events.close()


async def test_who_uses_a_tenant_while_it_is_erased_gets_clear_answers(web: Web, services) -> None:
    await add(web, "ann", Grant(Role.ADMIN, "acme"))
    run = run_id()
    old = [await store_fragment(web.store, run, seq) for seq in range(2)]
    await index_chunks(web.catalog, [await store_chunk(web.store, old)], T0)
    browser = Browser(web)
    await browser.sign_in()
    program = await client(web, "admin:acme")
    statuses: set[int] = set()
    ended = asyncio.Event()

    async def ask(sender: Client) -> None:
        while not ended.is_set():
            for path in PATHS:
                answer = await sender.send("GET", path)
                statuses.add(answer.status)
                await answer.read()

    async def record() -> None:
        for seq in range(2, 200):
            if ended.is_set():
                return
            await index_fragments(web.catalog, [fragment(run, seq)], NOW)
            await asyncio.sleep(0)

    async with EventSource(web.stranger, "/api/v1/events", headers=program.headers) as source:
        await source.next("camera")
        working = [asyncio.create_task(each) for each in (ask(program), record())]
        eraser = TenantEraser(
            web.catalog, web.store, services.settings, web.services.clock_ms, BY_SYSTEM
        )
        await eraser.erase("acme")
        web.set_now(NOW + RECHECK_MS)
        end = await source.next("end")
        assert end.data["reason"] in {"signed-out", "not-allowed", "rights-changed"}
        ended.set()
        await asyncio.gather(*working)
    assert statuses <= {200, 401, 403, 404}, statuses
    assert await browser.status() == 401, "its people are erased too"
    for path in PATHS:
        answer = await program.send("GET", path)
        assert answer.status in {401, 403, 404}, path
        assert answer.content_type == "application/problem+json"
    root = await client(web, "admin:*")
    for method, path, body in (
        ("POST", "/tenants", {"id": "acme", "name": "Acme"}),
        ("POST", "/sites", {"id": "acme/hq", "name": "Hq"}),
        ("POST", "/cameras", {"id": CAMERA, "name": "Gate"}),
    ):
        answer = await root.send(method, path, body)
        assert 400 <= answer.status < 500, (path, answer.status)
        assert answer.content_type == "application/problem+json"
    await erasure.erase_rows(web.catalog, "acme")  # what was on its way goes in the next pass
    assert await erasure.count_rows(web.catalog, "acme") == {}
