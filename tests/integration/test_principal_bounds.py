"""A key that sends too much gets 429, and others go on."""

from domain.access import Grant, Role
from stores.catalog import index_chunks
from stores.catalog.keys import create_key
from tests.integration.catalog_support import T0, run_id
from tests.integration.web_support import BASE, Web, running_web, store_chunk, store_fragment


async def headers(web: Web, grant: Grant) -> dict[str, str]:
    return {"Authorization": f"Bearer {await create_key(web.catalog, 'key', T0, None, [grant])}"}


async def test_a_flood_is_refused_and_counted_by_bound(services) -> None:
    async with running_web(services, VIGIL_REQUESTS_PER_S="1") as web:
        flood = await headers(web, Grant(Role.VIEWER, "acme"))
        other = await headers(web, Grant(Role.MONITOR, "*"))
        answers = [await web.stranger.get(BASE, headers=flood) for _ in range(15)]
        assert {answer.status for answer in answers[:10]} == {200}
        refused = next(answer for answer in answers if answer.status == 429)
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await refused.json())["type"].endswith("too-many-requests")
        counted = await web.stranger.get("/metrics", headers=other)
        assert 'vigil_http_bounded_total{bound="requests"}' in await counted.text()


async def test_media_of_one_key_is_paced(services) -> None:
    """The first response is within the burst; owing more than 5 s, the next one is refused."""
    settings = {"VIGIL_MEDIA_BYTES_PER_S": "100000", "VIGIL_MEDIA_DELIVERY": "stream"}
    async with running_web(services, **settings) as web:
        run = run_id()
        event = await store_fragment(web.store, run, 0)
        await index_chunks(web.catalog, [await store_chunk(web.store, [event])], T0)
        flood = await headers(web, Grant(Role.VIEWER, "acme"))
        other = await headers(web, Grant(Role.VIEWER, "acme"))
        path = f"{BASE}/fragments/{run}/0.ts"
        assert (await web.stranger.get(path, headers=flood)).status == 200
        owner = (
            await web.services.sessions.of_key(web.catalog, flood["Authorization"][7:])
        ).caller()
        web.services.bounds._media(owner.id).tokens = -1_000_000
        refused = await web.stranger.get(path, headers=flood)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "5")
        assert (await web.stranger.get(path, headers=other)).status == 200
