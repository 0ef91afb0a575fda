"""The services that all views share: catalog, object store, sessions, settings, clock."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web
from cachetools import TTLCache

from domain.times import utc_ms
from stores.catalog import Catalog, RegisteredCamera
from stores.catalog.cameras import get_camera
from stores.objects import ObjectStore
from streams.server_certificate import ServerCertificate
from streams.settings import Settings
from streams.storage import LazyStore, object_store, web_catalog
from web.audit_reads import AuditReads
from web.bounds import PrincipalBounds
from web.command_sender import CommandSender, CommandWaiter
from web.event_feed import EventFeed
from web.live.upstream import LiveUpstreams
from web.oidc.renewal import SessionChecks
from web.oidc.sign_in import OidcProviders
from web.passwords import PasswordHashes
from web.picture_decoder import PictureDecoder
from web.problems import not_found
from web.proxies import TrustedProxies
from web.query import parse_camera_id
from web.schemas.status import StorageStatus
from web.sessions import Sessions, check_session_secret
from web.sign_in import SignIn
from web.totp import TotpSecrets

THUMBNAIL_BYTES = 64 << 20
LONG_PLAYLISTS = 2
"""Playlists of many hours that are built at the same time. Each takes the event loop's time."""
THUMBNAIL_TTL_MS = 3_600_000
STORAGE_TTL_MS = 60_000


def thumbnail_cache(clock_ms: Callable[[], int]) -> TTLCache[str, bytes]:
    """Return an LRU cache of JPEG images by name, limited in bytes and in age."""
    return TTLCache(THUMBNAIL_BYTES, THUMBNAIL_TTL_MS, timer=clock_ms, getsizeof=len)


@dataclass
class Services:
    """One per process."""

    settings: Settings
    catalog: LazyStore[Catalog]
    store: LazyStore[ObjectStore]
    is_ready: Callable[[], bool]
    """Whether Faust runs and is connected to its brokers."""
    clock_ms: Callable[[], int] = utc_ms
    sessions: Sessions = field(init=False)
    sign_in: SignIn = field(init=False)
    oidc: OidcProviders = field(init=False)
    oidc_checks: SessionChecks = field(init=False)
    proxies: TrustedProxies = field(init=False)
    bounds: PrincipalBounds = field(init=False)
    thumbnails: TTLCache[str, bytes] = field(init=False)
    events: EventFeed = field(init=False)
    upstreams: LiveUpstreams = field(init=False)
    audit_reads: AuditReads = field(init=False)
    commands: CommandSender = field(init=False)
    command_waiter: CommandWaiter = field(init=False)
    storage_status: TTLCache[str, StorageStatus] = field(init=False)
    """What the status says of footage: it is read once a minute."""
    long_playlists: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(LONG_PLAYLISTS)
    )
    """Bounds the playlists of many hours that are built at the same time."""
    previews: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Bounds the previews of retention rules: each counts much footage."""
    estimates: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Bounds the estimates of cost: each computes a quarter of a second."""
    clients: Counter[str] = field(default_factory=Counter)
    """Requests of each client that are being answered."""
    pictures: PictureDecoder = field(default_factory=PictureDecoder)

    certificate: ServerCertificate | None = field(init=False)
    """None: the web speaks plain HTTP, behind a proxy."""

    def __post_init__(self) -> None:
        """Raise ConfigError where the secret, a certificate or the file of providers is wrong."""

        def now_ms() -> int:
            return self.clock_ms()  # at each call: a test may replace the clock

        self.proxies = TrustedProxies(self.settings.trusted_proxies)
        self.bounds = PrincipalBounds(self.settings)
        secret = check_session_secret(self.settings.session_secret.get_secret_value())
        self.sessions = Sessions(now_ms)
        self.sign_in = SignIn(PasswordHashes(), TotpSecrets(secret), now_ms)
        self.oidc = OidcProviders(self.settings, now_ms)
        self.oidc_checks = SessionChecks(self.oidc, now_ms)
        self.thumbnails = thumbnail_cache(now_ms)
        self.storage_status = TTLCache(1, STORAGE_TTL_MS, timer=now_ms)
        certificate_file = self.settings.web_tls_certificate_file
        key_file = self.settings.web_tls_key_file
        self.certificate = None
        if certificate_file is not None and key_file is not None:
            self.certificate = ServerCertificate(certificate_file, key_file)
        self.events = EventFeed(self.catalog, now_ms)
        self.upstreams = LiveUpstreams(self.settings, self.catalog)
        self.audit_reads = AuditReads(self.catalog, now_ms)
        self.commands = CommandSender(self.settings)
        self.command_waiter = CommandWaiter(self.catalog)


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)


def make_services(settings: Settings, is_ready: Callable[[], bool]) -> Services:
    """Return the services by the settings; nothing is opened yet. Raises ConfigError."""
    return Services(settings, web_catalog(settings), object_store(settings), is_ready)


async def require_camera(request: web.Request) -> RegisteredCamera:
    """Return the camera of the path; 404 where it is not registered."""
    name = parse_camera_id(request.match_info)
    services = request.app[SERVICES]
    found = await get_camera(await services.catalog.get(), name, services.clock_ms())
    if found is None:
        raise not_found(f"There is no camera {name}.")
    return found
