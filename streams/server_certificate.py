"""The certificate of a server, for programs that speak TLS themselves.

files ──► load, checked whole ──► context ◄── each handshake takes the newest
  changed (checked every 10 s) ──► load again; a bad file keeps the old one, and says so

A new certificate is a new context. Connections that exist keep theirs, so that no download ends.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web
from aiohttp.web_runner import BaseRunner
from cryptography import x509
from prometheus_client import Gauge

from domain.errors import ConfigError
from stores.tls_site import TlsSite
from streams.metrics import REGISTRY

CHECK_S = 10.0
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption only. Those of TLS 1.3 all are so."""

EXPIRES = Gauge(
    "vigil_web_certificate_expiry_seconds",
    "When the web's TLS certificate ends, Unix time; 0: without TLS",
    registry=REGISTRY,
)
REJECTED = Gauge(
    "vigil_web_certificate_rejected",
    "1 while the certificate files cannot be used and an older certificate is served",
    registry=REGISTRY,
)
log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int, int], ...]


class ServerCertificate:
    """The certificate in use, and its files. Raises ConfigError where they cannot be used."""

    def __init__(
        self,
        certificate_file: Path,
        key_file: Path,
        *,
        setting: str = "VIGIL_WEB_TLS",
        client_ca: Callable[[], str] | None = None,
        measured: bool = True,
    ) -> None:
        """`setting`: how the names of the settings begin.

        `measured`: whether the metrics are about this one. A process has one such certificate.
        `client_ca` returns the authorities of clients' certificates, PEM: then TLS 1.3 is needed, a
        client may show a certificate, and one that is not valid ends the handshake.
        """
        self._certificate_file = certificate_file
        self._key_file = key_file
        self._setting = setting
        self._client_ca = client_ca
        self._measured = measured
        self._seen: _Stamp | None = self._stamp()
        self._newest = self._load()
        self.problem: str | None = None
        """Why the files of now are not used. None: they are."""
        self.context = self._newest
        """For the listening socket. Each handshake takes the newest context instead."""
        self.context.sni_callback = self._take_newest
        self._set(REJECTED, 0)

    def _take_newest(
        self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        if self._newest is not self.context:
            connection.context = self._newest

    def reload(self, *, always: bool = False) -> bool:
        """Load the files where they changed; return whether another context is in use now.

        `always`: also where they did not: the authorities of clients have changed.
        """
        stamp = self._stamp()
        if stamp == self._seen and not always:
            return False
        self._seen = stamp
        try:
            self._newest = self._load()
        except ConfigError as error:
            self.problem = str(error)
            self._set(REJECTED, 1)
            log.error("the certificate in use is kept: %s", error)
            return False
        self.problem = None
        self._set(REJECTED, 0)
        log.info("a new TLS certificate is in use" if not always else "new authorities are in use")
        return True

    def _stamp(self) -> _Stamp | None:
        """Return what changes with the files. None: one cannot be read."""
        try:
            stats = [file.stat() for file in (self._certificate_file, self._key_file)]
        except OSError:
            return None
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _load(self) -> ssl.SSLContext:
        setting = f"{self._setting}_CERTIFICATE_FILE ({self._certificate_file})"
        try:
            found = x509.load_pem_x509_certificates(self._certificate_file.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{setting} cannot be read: {error}.") from None
        ends = found[0].not_valid_after_utc
        if ends <= datetime.now(UTC):
            raise ConfigError(f"{setting} ended on {ends:%Y-%m-%d %H:%M} UTC. Renew it.")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(["http/1.1"])
        try:
            # A password would be asked for on the terminal: an empty one is wrong, and no question.
            context.load_cert_chain(self._certificate_file, self._key_file, password="")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            mismatch = getattr(error, "reason", "") == "KEY_VALUES_MISMATCH"
            why = "it is not the key of this certificate" if mismatch else f"{error}"
            raise ConfigError(
                f"{self._setting}_KEY_FILE ({self._key_file}) cannot be used: {why}. Give an "
                "unencrypted PEM key that belongs to the certificate."
            ) from None
        if self._client_ca is not None:
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_verify_locations(cadata=self._client_ca())
            context.verify_mode = ssl.CERT_OPTIONAL
            context.num_tickets = 0  # a resumed session would keep an old certificate
        self._set(EXPIRES, ends.timestamp())
        return context

    def _set(self, gauge: Gauge, value: float) -> None:
        if self._measured:
            gauge.set(value)

    async def watch(self) -> None:
        """Look for changed files until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            await asyncio.to_thread(self.reload)


def tls_site(
    runner: BaseRunner, host: str, port: int, certificate: ServerCertificate
) -> web.BaseSite:
    """Return the site that serves a runner over TLS."""
    return TlsSite(runner, host, port, ssl_context=certificate.context)
