"""Which views there are, and putting them on an app."""

from collections.abc import Callable
from typing import Any

from faust.web import View

from streams.settings import Settings
from web.cameras import CamerasView, CameraView
from web.chunks import ChunksView
from web.detections import DetectionsView
from web.edge_config import EdgeConfigView
from web.edges import EdgesView
from web.guard import protect
from web.health import HealthView, MetricsView, ReadyView
from web.media import ChunkView, FragmentView
from web.pages import PagesView
from web.playlist import PlaylistView
from web.session import SessionView
from web.site import SITE, Site, site_of_settings
from web.thumbnail import ThumbnailView
from web.timeline import TimelineView

VIEWS: tuple[type[View], ...] = (
    HealthView,
    ReadyView,
    MetricsView,
    SessionView,
    CamerasView,
    CameraView,
    EdgesView,
    ChunksView,
    TimelineView,
    DetectionsView,
    PlaylistView,
    FragmentView,
    ChunkView,
    ThumbnailView,
    EdgeConfigView,
    PagesView,  # last: it answers whatever is left
)


def serve(app: Any, settings: Settings, is_ready: Callable[[], bool]) -> Site:
    """Put all views, guarded, on a Faust app's web server; raises ConfigError."""
    site = site_of_settings(settings, is_ready)
    application = app.web.web_app
    application[SITE] = site
    protect(application, settings)
    for view in VIEWS:
        app.page(view.view_path)(view)
    return site
