"""The views on a real catalog and object store, without a worker; real video to fill them with."""

import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, BaseRunner

from domain.events import ChunkComplete, FragmentArrived, ManifestFragment
from domain.identity import fragment_key
from media.keyframes import index_video
from stores.catalog import Catalog, add_camera
from stores.catalog.keys import create_key
from stores.objects import ObjectStore
from streams.app import make_app
from streams.settings import get_settings
from streams.storage import make_object_store
from tests.integration.catalog_support import CAMERA, T0, chunk, fragment, fresh_catalog
from tests.unit.media.video import clip
from web.services import Services
from web.views import serve

BASE = f"/api/v1/cameras/{CAMERA}"


@dataclass
class Web:
    """The views under test; `client` sends the key along, `stranger` sends none."""

    client: TestClient
    stranger: TestClient
    catalog: Catalog
    store: ObjectStore
    services: Services
    key: str

    def set_now(self, now_ms: int) -> None:
        self.services.clock_ms = lambda: now_ms


@dataclass
class Worker:
    """A worker in a process of its own: what another one shares with it."""

    catalog: Catalog
    key: str


class _Server(TestServer):
    """Serves as a worker does: with its limits, and its own errors for what cannot be read."""

    def __init__(self, app: Application, runner: BaseRunner, port: int) -> None:
        super().__init__(app, port=port or None)
        self._own_runner = runner

    async def _make_runner(self, **_kwargs: object) -> BaseRunner:
        return self._own_runner


@asynccontextmanager
async def running_web(
    services, existing: "Web | Worker | None" = None, port: int = 0, **more: str
) -> AsyncIterator[Web]:
    """Serve the views on a catalog of their own with one camera, at T0 + 60 s; `port` 0: any.

    With `existing`, serve the catalog of another one, as a second worker does.
    """
    dsn = services.settings.database_url.get_secret_value()
    async with AsyncExitStack() as stack:
        catalog = (
            existing.catalog if existing else await stack.enter_async_context(fresh_catalog(dsn))
        )
        # Tests send many requests of one key.
        changed = {"VIGIL_DATABASE_URL": catalog._dsn, "VIGIL_REQUESTS_PER_S": "0", **more}
        await stack.enter_async_context(changed_settings(changed))
        app = make_app("web-test", web=True)
        served = serve(app, get_settings(), lambda: True)
        async with make_object_store(get_settings()) as store:
            key = existing.key if existing else await create_key(catalog, "Ann", T0)
            if not existing:
                await add_camera(catalog, CAMERA, "Gate", T0)
            server = _Server(app.web.web_app, app.web._runner, port)
            headers = {"Authorization": f"Bearer {key}"}
            async with TestClient(server, headers=headers) as client:
                stranger = TestClient(server)
                web = Web(client, stranger, catalog, store, served, key)
                web.set_now(T0 + 60_000)
                yield web
                await stranger.session.close()
                await (await served.catalog.get()).__aexit__(None, None, None)
                await (await served.store.get()).__aexit__(None, None, None)


@asynccontextmanager
async def changed_settings(more: Mapping[str, str]) -> AsyncIterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    get_settings.cache_clear()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        get_settings.cache_clear()


_CLIP = clip(40, keyframe_every=20)


async def store_fragment(
    store: ObjectStore, run: str, seq: int, camera: str = CAMERA
) -> FragmentArrived:
    """PUT a real fragment of 4 s (keyframes at 0 and 2 s) and return its event."""
    found = index_video(_CLIP)
    event = fragment(
        run,
        seq,
        camera=camera,
        size_bytes=len(_CLIP),
        sha256=hashlib.sha256(_CLIP).hexdigest(),
        start_pts=found.first_pts,
        keyframes=list(found.keyframes),
    )
    key = fragment_key(event.camera, run, seq)
    await store.put_once(key, _CLIP, sha256=event.sha256, metadata=event.metadata())
    return event


async def store_chunk(store: ObjectStore, events: list[FragmentArrived]) -> ChunkComplete:
    """Join stored fragments into a chunk in the store; the fragments' own objects go."""
    event = chunk(events, digest=hashlib.md5(events[0].run.encode()).hexdigest())
    parts = [await store.get(fragment_key(each.camera, each.run, each.seq)) for each in events]

    async def pieces():
        for part in parts:
            yield part

    await store.put_stream(event.object_key, pieces())
    await store.delete([fragment_key(each.camera, each.run, each.seq) for each in events])
    return event


def part_of(event: ChunkComplete, seq: int) -> ManifestFragment:
    return next(each for each in event.fragments if each.seq == seq)
