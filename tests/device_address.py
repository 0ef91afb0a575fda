"""The devices' address for tests: a device CA, a server certificate, and devices in the catalog."""

import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import BaseConnector, ClientSession, TCPConnector
from aiohttp.web_runner import BaseRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from domain.device_identity import key_id
from domain.times import utc_ms
from local.certificates import make_pair
from local.ports import HOST
from stores.catalog import Catalog
from stores.catalog.pool import sql
from stores.catalog.tenants import ensure_site
from stores.device_ca import DeviceCa, create_ca, read_ca
from streams.app import make_app
from streams.settings import get_settings
from tests.integration.catalog_support import fresh_catalog
from tests.integration.web_support import changed_settings
from web.device.services import DeviceServices
from web.device.views import serve


@dataclass
class DeviceFiles:
    """Files of the devices' address, and the settings that name them."""

    folder: Path

    def __post_init__(self) -> None:
        authority, pair = make_pair(HOST)
        self.ca_certificate = self.folder / "device-ca.pem"
        self.ca_key = self.folder / "device-ca.key"
        self.server_ca = self.folder / "server-ca.pem"
        self.server = self.folder / "server.pem"
        self.server_ca.write_bytes(authority)
        self.server.write_bytes(pair)
        create_ca(
            self.ca_certificate, self.ca_key, "Test devices", datetime.now(UTC) - timedelta(days=7)
        )

    @property
    def settings(self) -> dict[str, str]:
        return {
            "VIGIL_DEVICE_CA_CERTIFICATE_FILE": str(self.ca_certificate),
            "VIGIL_DEVICE_CA_KEY_FILE": str(self.ca_key),
            "VIGIL_DEVICE_TLS_CERTIFICATE_FILE": str(self.server),
            "VIGIL_DEVICE_TLS_KEY_FILE": str(self.server),
        }

    @property
    def ca(self) -> DeviceCa:
        return read_ca(self.ca_certificate, self.ca_key)


@dataclass
class DeviceAddress:
    """A running address of devices."""

    url: str
    catalog: Catalog
    services: DeviceServices
    files: DeviceFiles
    runner: BaseRunner

    async def stop(self) -> None:
        """Stop it before its time: the cloud is away."""
        await self.runner.cleanup()

    def client(self, *certificate: Path) -> ClientSession:
        """Return a client; `certificate`: files of a device's certificate and key."""
        return ClientSession(self.url, connector=self.connector(*certificate))

    def connector(self, *certificate: Path) -> BaseConnector:
        context = ssl.create_default_context(cafile=self.files.server_ca)
        if certificate:
            context.load_cert_chain(*certificate)
        return TCPConnector(ssl=context)


@asynccontextmanager
async def running_devices(
    services, folder: Path, port: int, catalog: Catalog | None = None, **more: str
) -> AsyncIterator[DeviceAddress]:
    """Serve the devices' address on a port of loopback, on a catalog of its own or a given one."""
    dsn = services.settings.database_url.get_secret_value()
    files = DeviceFiles(folder)
    async with AsyncExitStack() as stack:
        if catalog is None:
            catalog = await stack.enter_async_context(fresh_catalog(dsn))
        changed = {
            "VIGIL_DATABASE_URL": catalog._dsn,
            "VIGIL_DEVICE_HOST": HOST,
            "VIGIL_DEVICE_PORT": str(port),
            **files.settings,
            **more,
        }
        if "VIGIL_DEVICE_CA_KMS_KEY" in more:
            del changed["VIGIL_DEVICE_CA_KEY_FILE"]
        await stack.enter_async_context(changed_settings(changed))
        app = make_app("device-test", web=True, at=(HOST, port))
        served = serve(app, get_settings(), lambda: True)
        runner = app.web._runner
        await runner.setup()
        try:
            await app.web._create_site().start()
            yield DeviceAddress(f"https://{HOST}:{port}", catalog, served, files, runner)
        finally:
            await runner.cleanup()
            await (await served.catalog.get()).__aexit__(None, None, None)


@dataclass
class TestDevice:
    """A device that is in the catalog, with its key."""

    __test__ = False

    id: str
    key: Ed25519PrivateKey
    certificate_file: Path
    key_file: Path

    @property
    def files(self) -> tuple[Path, Path]:
        return self.certificate_file, self.key_file


async def add_device(
    catalog: Catalog, device: str, folder: Path, ca: DeviceCa, generation: int = 1
) -> TestDevice:
    """Put a device into the catalog as an enrolment does; write its key and certificate."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    now_ms = utc_ms()
    issued = ca.issue(public, device, generation, now_ms)
    async with catalog.transaction() as connection:
        await ensure_site(connection, device.rsplit("/", 1)[0], now_ms)
        request = hashlib.sha256(public).hexdigest()[:32]
        await connection.execute(
            sql("put_enrolled_device"),
            device,
            generation,
            key_id(public),
            issued.pem,
            request,
            now_ms,
            issued.expires_ms,
        )
        await connection.execute(
            sql("add_device_key"), key_id(public), device, public, generation, now_ms
        )
    name = device.replace("/", "-")
    made = TestDevice(device, key, folder / f"{name}.pem", folder / f"{name}.key")
    made.certificate_file.write_text(issued.pem)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    made.key_file.write_bytes(pem)
    return made
