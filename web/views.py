"""All views, and their installation on a Faust app."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web
from faust.web import View

from stores.http_server import BoundedRunner, ConnectionLimits
from streams.server_certificate import tls_site
from streams.settings import Settings
from web.access import access_table, canonical
from web.audit_log import AuditExportView, AuditLogView
from web.cameras import CamerasView, CameraView
from web.chunks import ChunksView
from web.commands import CommandBodyView, CommandsView, CommandView
from web.compression import compress
from web.conditional import answer_not_modified
from web.cost import CostView
from web.deprecation import deprecation_headers, deprecation_table
from web.detections import DetectionsView
from web.devices import (
    DeviceRevocationView,
    DevicesView,
    DeviceUnlockView,
    DeviceView,
    EnrolmentCodesView,
)
from web.edge_config import EdgeConfigView, SignedEdgeConfigView
from web.edges import EdgesView
from web.events import EventsView
from web.filmstrip import FilmstripView
from web.fleet import FleetView, SiteUpdateLockView
from web.groups import GroupsView, GroupView
from web.health import HealthView, MetricsView, ReadyView
from web.holds import HoldLiftView, HoldsView, HoldView
from web.idempotency import answer_once
from web.keys import KeyRotationView, KeysView, KeyView
from web.live_socket import LIVE_SOCKETS, LiveSockets, LiveSocketView
from web.media import ChunkView, FragmentView
from web.middleware import SERVER_NAME
from web.middleware import install as install_middleware
from web.oidc.views import (
    OidcCallbackView,
    OidcLogoutView,
    OidcProvidersView,
    OidcStartView,
)
from web.openapi import ApiDocument
from web.operations import operation_table
from web.own_account import OwnPasswordView, OwnTotpRemovalView, OwnTotpView
from web.pages import PagesView
from web.playlist import PlaylistView
from web.reference import DOCUMENT, DocsStyleView, DocsView, OpenApiView, ProblemKindView
from web.retention import RetentionPreviewView, RulesView, RuleView
from web.rollouts import (
    ReleasesView,
    RolloutPauseView,
    RolloutResumeView,
    RolloutRollbackView,
    RolloutStopView,
    RolloutsView,
    RolloutView,
)
from web.runs import RunsView
from web.second_factor import SecondFactorRulesView, SecondFactorRuleView
from web.services import SERVICES, Services, make_services
from web.session import SessionView
from web.session_list import OneSessionView, SessionsView
from web.site_config import ConfigVersionsView, ConfigVersionView
from web.status import StatusView
from web.tenants import SitesView, SiteView, TenantsView, TenantView
from web.thumbnail import ThumbnailView
from web.timeline import TimelineView
from web.unsafe_requests import body_types
from web.users import UserPasswordView, UsersView, UserTotpView, UserView

VIEWS: tuple[type[View], ...] = (
    HealthView,
    ReadyView,
    MetricsView,
    StatusView,
    CostView,
    SessionView,
    OwnPasswordView,
    OwnTotpView,
    OwnTotpRemovalView,
    SessionsView,
    OneSessionView,
    OidcProvidersView,
    OidcStartView,
    OidcCallbackView,
    OidcLogoutView,
    UsersView,
    UserView,
    UserPasswordView,
    UserTotpView,
    SecondFactorRulesView,
    SecondFactorRuleView,
    GroupsView,
    GroupView,
    CamerasView,
    CameraView,
    RunsView,
    TenantsView,
    TenantView,
    SitesView,
    SiteView,
    ConfigVersionsView,
    ConfigVersionView,
    HoldsView,
    HoldView,
    HoldLiftView,
    RulesView,
    RuleView,
    RetentionPreviewView,
    KeysView,
    KeyView,
    KeyRotationView,
    EdgesView,
    CommandsView,
    CommandView,
    CommandBodyView,
    DevicesView,
    DeviceView,
    DeviceRevocationView,
    DeviceUnlockView,
    EnrolmentCodesView,
    FleetView,
    SiteUpdateLockView,
    ReleasesView,
    RolloutsView,
    RolloutView,
    RolloutPauseView,
    RolloutResumeView,
    RolloutRollbackView,
    RolloutStopView,
    EventsView,
    ChunksView,
    TimelineView,
    DetectionsView,
    PlaylistView,
    LiveSocketView,
    FragmentView,
    ChunkView,
    ThumbnailView,
    FilmstripView,
    EdgeConfigView,
    SignedEdgeConfigView,
    AuditLogView,
    AuditExportView,
    OpenApiView,
    DocsView,
    DocsStyleView,
    ProblemKindView,
    PagesView,  # last: it matches every path
)


def serve(app: Any, settings: Settings, is_ready: Callable[[], bool]) -> Services:
    """Install all views and the middleware on a Faust app's web server; raises ConfigError."""
    services = make_services(settings, is_ready)
    application = app.web.web_app
    application[SERVICES] = services
    application[LIVE_SOCKETS] = LiveSockets(services)
    application[DOCUMENT] = ApiDocument(VIEWS)
    install_middleware(application, settings, access_table(VIEWS), body_types(VIEWS))
    deprecated = deprecation_table(
        (canonical(path), by_method) for path, by_method in operation_table(VIEWS).items()
    )
    application.on_response_prepare.append(deprecation_headers(deprecated))
    application.middlewares.extend((compress, answer_not_modified, answer_once))

    async def running(_: web.Application) -> AsyncIterator[None]:
        watch = None
        if services.certificate is not None:
            watch = asyncio.create_task(services.certificate.watch())
        yield
        if watch is not None:
            watch.cancel()
        await services.commands.close()
        await services.audit_reads.close()
        services.pictures.close()
        services.sign_in.passwords.close()
        await services.oidc.close()

    async def end_streams(_: web.Application) -> None:
        await services.events.close()
        await application[LIVE_SOCKETS].close()

    application.cleanup_ctx.append(running)
    application.on_shutdown.append(end_streams)
    limits = ConnectionLimits(
        per_address=settings.connections_per_address, is_exempt=services.proxies.trusts
    )
    app.web._runner = BoundedRunner(application, limits, SERVER_NAME)
    if (certificate := services.certificate) is not None:
        app.web._create_site = lambda: tls_site(
            app.web._runner, settings.web_host, settings.web_port, certificate
        )
    for view in VIEWS:
        app.page(view.view_path)(view)
    return services
