"""Who this device is: it signs events, and shows its certificate to the cloud.

none       not enrolled: the device works as before, and signs nothing
enrolled   it signs
locked     another device has the same identity: recording goes on, nothing is uploaded
revoked    an operator revoked it: the same
expired    it was away for longer than a renewal allows: the same
damaged    its files cannot be used: the same
"""

import base64
import logging
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.device_identity import EventSignature, key_id
from domain.errors import ConfigError
from domain.times import utc_ms
from edge_bridge.identity.folder import EnrolmentRecord, IdentityFolder
from stores.device_certificate import DeviceCertificate

IdentityState = Literal["none", "enrolled", "locked", "revoked", "expired", "damaged"]
REFUSED: tuple[IdentityState, ...] = ("locked", "revoked", "expired")
"""States that the cloud reports."""

log = logging.getLogger(__name__)


class DeviceIdentity:
    """The identity in a folder. `sign` may be called from any thread."""

    def __init__(self, folder: Path | None) -> None:
        """`folder`: see folder.py. None, or one without an enrolment: no identity."""
        self._lock = threading.Lock()
        self._folder = None if folder is None else IdentityFolder(folder)
        self._record: EnrolmentRecord | None = None
        self._key: Ed25519PrivateKey | None = None
        self._key_id = ""
        self._certificate: DeviceCertificate | None = None
        self._context: ssl.SSLContext | None = None
        self.on_change: list[Callable[[], None]] = []
        """Called after the state or the certificate has changed, in the thread of the change."""
        self.state: IdentityState = "none"
        self.detail = ""
        """Why the state is not `enrolled`, and what to do; empty: nothing."""
        self._load()

    def reload(self) -> None:
        """Read the files again: an enrolment was completed."""
        with self._lock:
            self._record = self._key = self._certificate = self._context = None
            self.state, self.detail = "none", ""
            self._load()
        for call in self.on_change:
            call()

    def _load(self) -> None:
        folder = self._folder
        if folder is None or not folder.is_enrolled:
            return
        try:
            self._record = folder.load_record()
            self._key = folder.load_key()
            self._certificate = folder.load_certificate()
            self._key_id = key_id(self._key.public_key().public_bytes_raw())
            if self._certificate.key != self._key_id:
                raise ConfigError(f"{folder.certificate_file} is not of the key {folder.key_file}.")
            if self._certificate.device != self._record.device:
                raise ConfigError(f"{folder.certificate_file} is of another device.")
        except ConfigError as error:
            self.state = "damaged"
            self.detail = f"{error} Enrol this device again, with a new code."
            return
        refusal = folder.refusal()
        self.state, self.detail = "enrolled", ""
        for state in REFUSED:
            if refusal is not None and refusal[0] == state:
                self.state, self.detail = state, refusal[1]

    @property
    def device(self) -> str | None:
        """tenant/site/device; None: not enrolled."""
        return None if self._record is None else self._record.device

    @property
    def url(self) -> str | None:
        """Address at which devices are answered; None: not enrolled."""
        return None if self._record is None else self._record.url

    @property
    def key_id(self) -> str:
        """Id of the key; empty: not enrolled."""
        return self._key_id

    @property
    def generation(self) -> int:
        """Of the newest certificate; 0: none."""
        return 0 if self._certificate is None else self._certificate.generation

    @property
    def certificate(self) -> DeviceCertificate | None:
        """The newest certificate; None: none."""
        return self._certificate

    @property
    def config_key(self) -> Ed25519PublicKey | None:
        """The public key of configurations that was pinned at the enrolment; None: none was."""
        text = None if self._record is None else self._record.config_key
        if text is None:
            return None
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text))

    @property
    def pause_reason(self) -> str | None:
        """Why nothing may be uploaded now; None: uploads go on."""
        if self.state in ("none", "enrolled"):
            return None
        return f"the identity of this device is {self.state}: {self.detail}"

    def sign(self, body: bytes) -> str | None:
        """Return the signature of an event's bytes; None: not enrolled."""
        with self._lock:
            key, certificate, key_name = self._key, self._certificate, self._key_id
        if key is None or certificate is None:
            return None
        return str(
            EventSignature.sign(key, key_name, certificate.device, certificate.generation, body)
        )

    def sign_bytes(self, data: bytes) -> bytes | None:
        """Return the key's signature of `data`, which begins with a text that says what it is for.

        For requests, not for events. None: not enrolled.
        """
        return None if self._key is None else self._key.sign(data)

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS context of a request without certificate. ConfigError."""
        folder = self._folder
        assert folder is not None
        try:
            file = folder.server_ca_file
            context = ssl.create_default_context(cafile=file if file.exists() else None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{folder.server_ca_file} cannot be used: {error}.") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context with this device's certificate. ConfigError.

        It is another one after each renewal. None: the device is not enrolled, or its certificate
        has expired, and the server would end the handshake.
        """
        certificate, folder = self._certificate, self._folder
        if certificate is None or folder is None or self._key is None:
            return None
        if utc_ms() >= certificate.not_after_ms:
            return None
        with self._lock:
            if self._context is None:
                context = self.server_context()
                try:
                    context.load_cert_chain(folder.certificate_file, folder.key_file, password="")
                except (OSError, ssl.SSLError) as error:
                    text = f"{folder.certificate_file} cannot be used: {error}."
                    raise ConfigError(text) from None
                self._context = context
            return self._context

    def renewed(self, certificate: DeviceCertificate) -> None:
        """Use a renewed certificate, which is in its file already."""
        with self._lock:
            self._certificate = certificate
            self._context = None
        self._set_state("enrolled", "")

    def refused(self, state: IdentityState, detail: str) -> None:
        """Note that the cloud refuses this identity; `detail`: why, and what to do."""
        self._set_state(state, detail)

    def accepted(self) -> None:
        """Note that the cloud accepts this identity (again)."""
        if self.state in REFUSED:
            self._set_state("enrolled", "")

    def _set_state(self, state: IdentityState, detail: str) -> None:
        was, self.state, self.detail = self.state, state, detail
        if self._folder is not None and (state in REFUSED or was in REFUSED):
            try:
                self._folder.store_refusal((state, detail) if state in REFUSED else None)
            except OSError as error:
                log.error("the state of the identity cannot be stored: %s", error)
        if state in REFUSED and was != state:
            log.error(
                "the identity of this device is %s: recording goes on, uploads stop. %s",
                state,
                detail,
            )
        elif was in REFUSED and state not in REFUSED:
            log.info("the identity of this device is accepted again: uploads go on")
        for call in self.on_change:
            call()
