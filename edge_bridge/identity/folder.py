"""The files of a device's identity. Each is written whole, synced, and then renamed.

enrolling.key     the key of an enrolment that is not answered yet
device.key        the Ed25519 key, PKCS#8 in PEM, 0600: made here, sent nowhere
identity.json     which device this is, and the address at which devices are answered
certificate.pem   the newest certificate; its generation is in it
server-ca.pem     authorities of that address, where those of the system are not enough
renewal.json      the request that is being asked, or why the identity was refused
credentials.json  the newest AWS credentials
"""

import contextlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.device_identity import check_device, key_id
from domain.errors import ConfigError
from stores.device_certificate import CertificateError, DeviceCertificate

_MAX_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class EnrolmentRecord:
    """What an enrolment gave besides the certificate."""

    device: str
    """tenant/site/device."""
    url: str
    """Address at which devices are answered, https://host[:port]."""
    config_key: str | None
    """Public key of configurations, base64 of 32 bytes: pinned. None: none was given."""
    enrolled_ms: int
    """UTC ms, by the server."""


@dataclass(frozen=True, slots=True)
class PendingRenewal:
    """A request that may have been asked. It keeps its id until it is answered."""

    generation: int
    """That it replaces."""
    id: str


class IdentityFolder:
    """Reads and writes the files. Methods that write raise OSError."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.key_file = root / "device.key"
        self.certificate_file = root / "certificate.pem"
        self.server_ca_file = root / "server-ca.pem"
        self._record_file = root / "identity.json"
        self._enrolling_file = root / "enrolling.key"
        self._renewal_file = root / "renewal.json"
        self.credentials_file = root / "credentials.json"

    @property
    def is_enrolled(self) -> bool:
        """Whether an enrolment was completed here."""
        return self._record_file.exists()

    def stamp(self) -> tuple[int, int] | None:
        """Return what changes with an enrolment; None: there is none."""
        try:
            found = self._record_file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def enrolling_key(self) -> Ed25519PrivateKey:
        """Return the key of an enrolment that was begun, or make one. Raises OSError.

        The key in use stays until the enrolment is answered.
        """
        with contextlib.suppress(ConfigError):
            if self._enrolling_file.exists():
                return _load_key(self._enrolling_file)
            if self.key_file.exists() and not self._key_is_in_use():
                return _load_key(self.key_file)  # the power was cut between two files
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self._write(self._enrolling_file, pem)
        return key

    def _key_is_in_use(self) -> bool:
        try:
            certificate, key = self.load_certificate(), self.load_key()
        except ConfigError:
            return False
        return certificate.key == key_id(key.public_key().public_bytes_raw())

    def load_key(self) -> Ed25519PrivateKey:
        """Return the key. ConfigError: the file cannot be used."""
        return _load_key(self.key_file)

    def load_record(self) -> EnrolmentRecord:
        """Return what the enrolment gave. ConfigError: the file cannot be used."""
        try:
            fields = json.loads(_read(self._record_file))
            return EnrolmentRecord(
                check_device(fields["device"]),
                str(fields["url"]),
                fields.get("config_key"),
                int(fields["enrolled_ms"]),
            )
        except OSError as error:
            raise ConfigError(f"{self._record_file} cannot be read: {error.strerror}.") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ConfigError(f"{self._record_file} is damaged.") from None

    def load_certificate(self) -> DeviceCertificate:
        """Return the certificate. ConfigError: the file cannot be used."""
        try:
            return DeviceCertificate.from_pem(_read(self.certificate_file))
        except OSError as error:
            text = f"{self.certificate_file} cannot be read: {error.strerror}."
            raise ConfigError(text) from None
        except CertificateError as error:
            raise ConfigError(f"{self.certificate_file} is damaged: {error}.") from None

    def certificate_text(self) -> str:
        """Return the certificate, PEM. Raises OSError."""
        return _read(self.certificate_file).decode("ascii", "replace")

    def store_enrolment(
        self, record: EnrolmentRecord, certificate: str, server_ca: bytes | None
    ) -> None:
        """Keep an enrolment. It exists once its record does, which is written last."""
        self._renewal_file.unlink(missing_ok=True)
        self.credentials_file.unlink(missing_ok=True)
        if self._enrolling_file.exists():
            self._enrolling_file.replace(self.key_file)
        if server_ca is None:
            self.server_ca_file.unlink(missing_ok=True)
        else:
            self._write(self.server_ca_file, server_ca)
        self._write(self.certificate_file, certificate.encode())
        fields = {
            "device": record.device,
            "url": record.url,
            "config_key": record.config_key,
            "enrolled_ms": record.enrolled_ms,
        }
        self._write(self._record_file, json.dumps(fields, indent=1).encode())

    def store_certificate(self, certificate: str) -> None:
        """Keep a renewed certificate. Its generation ends the pending renewal."""
        self._write(self.certificate_file, certificate.encode())
        self._renewal_file.unlink(missing_ok=True)

    def pending_renewal(self, generation: int) -> PendingRenewal:
        """Return the renewal of a generation that was begun, or begin one: its id is stored."""
        fields = self._renewal()
        if fields.get("generation") == generation and isinstance(fields.get("id"), str):
            return PendingRenewal(generation, fields["id"])
        pending = PendingRenewal(generation, secrets.token_hex(16))
        self._store_renewal({"generation": generation, "id": pending.id})
        return pending

    def refusal(self) -> tuple[str, str] | None:
        """Return code and text of the refusal that is in force; None: none is."""
        refused = self._renewal().get("refused")
        if isinstance(refused, list) and len(refused) == 2:
            return str(refused[0]), str(refused[1])
        return None

    def store_refusal(self, refused: tuple[str, str] | None) -> None:
        """Keep why the identity was refused, and the pending renewal. None: it is accepted."""
        fields = {name: value for name, value in self._renewal().items() if name != "refused"}
        self._store_renewal(fields if refused is None else {**fields, "refused": refused})

    def load_credentials(self) -> dict[str, Any]:
        """Return the credentials that were stored; empty: none, or damaged ones."""
        return _json(self.credentials_file)

    def store_credentials(self, fields: dict[str, Any] | None) -> None:
        """Keep credentials in place of those of before. None: delete them."""
        if fields is None:
            self.credentials_file.unlink(missing_ok=True)
        else:
            self._write(self.credentials_file, json.dumps(fields).encode())

    def _renewal(self) -> dict[str, Any]:
        return _json(self._renewal_file)

    def _store_renewal(self, fields: dict[str, Any]) -> None:
        self._write(self._renewal_file, json.dumps(fields).encode())

    def _write(self, file: Path, data: bytes) -> None:
        """Write durably: after a power cut the file is the old one or the new one."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = file.with_name(file.name + ".new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
            new.replace(file)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_MAX_BYTES)


def _load_key(file: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(_read(file), None)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{file} is damaged: it is not an Ed25519 key.")
    return key


def _json(file: Path) -> dict[str, Any]:
    """Return the object in a file; empty: it cannot be read."""
    try:
        fields = json.loads(_read(file))
    except (OSError, ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
