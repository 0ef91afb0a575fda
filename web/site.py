"""What all views share: the catalog, the object store, the settings, the clock."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from domain.times import utc_ms
from stores.catalog import Camera, Catalog
from stores.catalog.cameras import get_camera
from stores.objects import ObjectStore
from streams.settings import Settings
from streams.storage import LazyStore, catalog, object_store
from web.problems import not_found
from web.query import camera_id
from web.recent import Recent
from web.sessions import Sessions


@dataclass
class Site:
    """One per process."""

    settings: Settings
    catalog: LazyStore[Catalog]
    store: LazyStore[ObjectStore]
    sessions: Sessions
    is_ready: Callable[[], bool]
    """Whether Faust runs and has its brokers."""
    clock_ms: Callable[[], int] = utc_ms
    thumbnails: Recent[str, bytes] = field(
        default_factory=lambda: Recent(64 << 20, weigh=len, live_ms=3_600_000)
    )


SITE: web.AppKey[Site] = web.AppKey("site", Site)


def site_of_settings(settings: Settings, is_ready: Callable[[], bool]) -> Site:
    """Return the site that the settings describe, nothing opened yet; ConfigError."""
    opened = catalog(settings)
    return Site(
        settings,
        opened,
        object_store(settings),
        Sessions(settings.session_secret.get_secret_value()),
        is_ready,
    )


async def camera_of(request: web.Request) -> Camera:
    """Return the camera that the path names; 404 where it is unknown."""
    name = camera_id(request.match_info)
    here = request.app[SITE]
    found = await get_camera(await here.catalog.get(), name, here.clock_ms())
    if found is None:
        raise not_found(f"There is no camera {name}.")
    return found
