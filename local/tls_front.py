"""A TLS proxy for local servers without TLS: PostgreSQL (the Python package), S3 and SQS.

`python -m local.tls_front CERTIFICATE NAME=PORT:SERVER_PORT...` accepts TLS connections on
loopback and forwards their bytes to the server. For the name `postgres` it first answers
PostgreSQL's SSLRequest, and closes connections without one.
"""

import asyncio
import contextlib
import ssl
import sys

from local.certificates import Certificates
from local.folder import DataFolder
from local.ports import HOST, Ports, is_free
from local.service import Report, Service

NAMES = ("postgres", "sqs", "s3")
_REQUEST = bytes.fromhex("0000000804d2162f")
"""PostgreSQL's SSLRequest: length 8, code 80877103."""
_BUFFER_BYTES = 1 << 16


class TlsFront(Service):
    """One proxy process for all three. The certificates must exist when it starts."""

    name = "tls-front"
    title = "TLS"

    def __init__(
        self, folder: DataFolder, ports: Ports, report: Report, certificates: Certificates
    ) -> None:
        super().__init__(folder, ports, report)
        self._certificates = certificates
        self._own: dict[str, int] = {}
        self._servers: dict[str, int] = {}

    def prepare(self) -> None:
        """Take a port for each server. The servers must have taken theirs before."""
        self.home.mkdir(exist_ok=True)
        self._own = {name: self.ports.take(f"{name}-tls") for name in NAMES}
        known = self.folder.read_json("ports.json")
        self._servers = {name: known[name] for name in NAMES}

    def command(self) -> list[str]:
        """Return the command line."""
        routes = [f"{name}={self._own[name]}:{self._servers[name]}" for name in NAMES]
        return [
            sys.executable, "-m", "local.tls_front", str(self._certificates.server_file), *routes
        ]  # fmt: skip

    def answers(self) -> bool:
        """Whether all ports are taken."""
        return not any(is_free(port) for port in self._own.values())

    def settings(self) -> dict[str, str]:
        """Return nothing: `override` changes the servers' own settings."""
        return {}

    def override(self, env: dict[str, str]) -> dict[str, str]:
        """Return the settings with the servers' addresses replaced by those of the proxy."""
        changed = {}
        for name, value in env.items():
            if name.startswith(("VIGIL_S3_", "VIGIL_SQS_", "VIGIL_DATABASE_URL")):
                for server, port in self._servers.items():
                    plain, ours = f"{HOST}:{port}", f"{HOST}:{self._own[server]}"
                    value = value.replace(f"http://{plain}", f"https://{ours}")  # noqa: PLW2901
                    value = value.replace(f"@{plain}", f"@{ours}")  # noqa: PLW2901
            changed[name] = value
        return changed | {
            "VIGIL_AWS_CA_FILE": str(self._certificates.ca_file),
            "VIGIL_DATABASE_CA_FILE": str(self._certificates.ca_file),
        }

    @property
    def address(self) -> str:
        """Return the ports."""
        return ", ".join(f"{HOST}:{port} ({name})" for name, port in self._own.items())


async def _serve(certificate: str, routes: list[str]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    for route in routes:
        name, _, numbers = route.partition("=")
        own, _, server = numbers.partition(":")
        route_ = _Route(int(server), context if name == "postgres" else None)
        await asyncio.start_server(
            route_.forward, HOST, int(own), ssl=None if name == "postgres" else context
        )
    await asyncio.Event().wait()


class _Route:
    """The route to one server. `on_request`: TLS starts only after PostgreSQL's SSLRequest."""

    def __init__(self, port: int, on_request: ssl.SSLContext | None) -> None:
        self._port = port
        self._on_request = on_request

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward the bytes of one connection, both directions, until one side ends."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            try:
                if self._on_request is not None:
                    if await reader.readexactly(len(_REQUEST)) != _REQUEST:
                        return
                    writer.write(b"S")
                    await writer.drain()
                    await writer.start_tls(self._on_request)
                server_reader, server_writer = await asyncio.open_connection(HOST, self._port)
                try:
                    directions = [
                        asyncio.create_task(_copy(reader, server_writer)),
                        asyncio.create_task(_copy(server_reader, writer)),
                    ]
                    await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
                    for direction in directions:
                        direction.cancel()
                    await asyncio.gather(*directions, return_exceptions=True)
                finally:
                    server_writer.close()
            finally:
                writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_BUFFER_BYTES):
            writer.write(data)
            await writer.drain()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2:]))
