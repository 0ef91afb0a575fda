"""What all views share: the catalog, the object store, the settings, the clock."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from domain.times import utc_ms
from stores.catalog import Catalog, RegisteredCamera
from stores.catalog.cameras import get_camera
from stores.objects import ObjectStore
from streams.settings import Settings
from streams.storage import LazyStore, catalog, object_store
from web.problems import not_found
from web.query import parse_camera_id
from web.recent import Recent
from web.sessions import Sessions


@dataclass
class Services:
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


SERVICES: web.AppKey[Services] = web.AppKey("site", Services)


def make_services(settings: Settings, is_ready: Callable[[], bool]) -> Services:
    """Return the site that the settings describe, nothing opened yet; ConfigError."""
    opened = catalog(settings)
    return Services(
        settings,
        opened,
        object_store(settings),
        Sessions(settings.session_secret.get_secret_value()),
        is_ready,
    )


async def require_camera(request: web.Request) -> RegisteredCamera:
    """Return the camera that the path names; 404 where it is unknown."""
    name = parse_camera_id(request.match_info)
    here = request.app[SERVICES]
    found = await get_camera(await here.catalog.get(), name, here.clock_ms())
    if found is None:
        raise not_found(f"There is no camera {name}.")
    return found
