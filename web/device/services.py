"""What the handlers of the devices' address share."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from domain.errors import ConfigError, StoreError
from domain.times import utc_ms
from stores.catalog import Catalog
from stores.device_ca import DeviceCa, IssuedCertificate
from stores.sts import DeviceCredentialIssuer
from streams.device_ca_files import DeviceCaFiles
from streams.device_registry import DeviceRegistry
from streams.server_certificate import CHECK_S, ServerCertificate
from streams.settings import Settings
from streams.storage import LazyStore, link_catalog, make_credential_issuer
from web.device.attempts import FailureLimit
from web.device.fleet_reconciler import FleetReconciler
from web.device.link_service import LinkService
from web.live.relay import LiveRelay
from web.problems import ProblemError

log = logging.getLogger(__name__)


@dataclass
class DeviceServices:
    """One per process. Raises ConfigError where a setting is missing or a file cannot be used."""

    settings: Settings
    is_ready: Callable[[], bool]
    """Whether Faust runs and is connected to its brokers."""
    clock_ms: Callable[[], int] = utc_ms
    catalog: LazyStore[Catalog] = field(init=False)
    registry: DeviceRegistry = field(init=False)
    issuer: LazyStore[DeviceCredentialIssuer] | None = field(init=False)
    """None: devices get no credentials here."""
    attempts: FailureLimit = field(default_factory=lambda: FailureLimit(time.monotonic))
    ca_files: DeviceCaFiles = field(init=False)
    certificate: ServerCertificate = field(init=False)
    link: LinkService = field(init=False)
    """The sockets of devices, and the address for other workers."""
    live: LiveRelay = field(init=False)
    """The live pictures that this worker relays."""
    fleet: FleetReconciler = field(init=False)
    """Advances rollouts of updates."""

    def __post_init__(self) -> None:
        """Read the files."""
        settings = self.settings
        self.ca_files = DeviceCaFiles(settings)
        self.certificate = ServerCertificate(
            _required(settings.device_tls_certificate_file, "VIGIL_DEVICE_TLS_CERTIFICATE_FILE"),
            _required(settings.device_tls_key_file, "VIGIL_DEVICE_TLS_KEY_FILE"),
            setting="VIGIL_DEVICE_TLS",
            client_ca=lambda: self.ca.trusted_pem,
        )
        self.catalog = link_catalog(settings)
        self.registry = DeviceRegistry(self.catalog)
        self.issuer = None
        if settings.device_role_arn:
            issuer = make_credential_issuer(settings)
            self.issuer = LazyStore(lambda: issuer)
        self.link = LinkService(settings, self.catalog, self.clock_ms)
        self.live = LiveRelay(self.link, self.catalog, self.clock_ms)
        self.fleet = FleetReconciler(self.catalog, self.clock_ms)

    @property
    def ca(self) -> DeviceCa:
        """The device CA in use."""
        return self.ca_files.ca

    async def issue(
        self, public_key: bytes, device: str, generation: int, now_ms: int
    ) -> IssuedCertificate:
        """Return a certificate for a raw key; ProblemError (503) where a KMS does not sign."""
        try:
            return await asyncio.to_thread(
                self.ca.issue,
                public_key,
                device,
                generation,
                now_ms,
                self.settings.device_certificate_s,
            )
        except StoreError as error:
            log.error("%s", error)
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The device CA's key does not answer. Try again. The worker's log has the details.",
                {"Retry-After": "5"},
            ) from error

    def reload_files(self) -> None:
        """Read the device CA and the address's own certificate again where they changed."""
        is_other_ca = self.ca_files.reload()
        self.certificate.reload(always=is_other_ca)

    async def watch_files(self) -> None:
        """Look for changed files until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            await asyncio.to_thread(self.reload_files)


DEVICE_SERVICES: web.AppKey[DeviceServices] = web.AppKey("device-services", DeviceServices)


def _required(file: Path | None, setting: str) -> Path:
    if file is None:
        raise ConfigError(
            f"{setting} is missing. docs/how-to/devices.md says how to set up the devices' address."
        )
    return file
