"""The device CA in use, and its files: they are read again when they change.

files ──► read, checked whole ──► certificates are issued and trusted by it
  changed (checked every 10 s) ──► read again; files that cannot be used keep the old one
"""

import logging

from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client import Gauge

from domain.errors import ConfigError
from stores.aws_endpoint import AwsEndpoint
from stores.device_ca import DeviceCa, read_ca
from streams.metrics import REGISTRY
from streams.settings import Settings

ENDS = Gauge(
    "vigil_device_ca_end_seconds",
    "When the certificate of the device CA that signs ends, Unix time",
    registry=REGISTRY,
)
REJECTED = Gauge(
    "vigil_device_ca_rejected",
    "1 while the files of the device CA cannot be used and the older ones are",
    registry=REGISTRY,
)
log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int, int], ...]


class DeviceCaFiles:
    """Reads the device CA. Raises ConfigError where it cannot be used at the start."""

    def __init__(self, settings: Settings) -> None:
        if settings.device_ca_certificate_file is None:
            raise ConfigError(_missing("VIGIL_DEVICE_CA_CERTIFICATE_FILE"))
        self._certificate_file = settings.device_ca_certificate_file
        self._key_file = settings.device_ca_key_file
        self._kms_key = kms_key(settings)
        if self._key_file is None and self._kms_key is None:
            raise ConfigError(_missing("VIGIL_DEVICE_CA_KEY_FILE"))
        self._seen = self._stamp()
        self.problem: str | None = None
        """Why the files of now are not used. None: they are."""
        self.ca = self._read()

    def reload(self) -> bool:
        """Read the files where they changed; return whether another authority is in use now."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self.ca = self._read()
        except ConfigError as error:
            self.problem = str(error)
            REJECTED.set(1)
            log.error("the device CA in use is kept: %s", error)
            return False
        self.problem = None
        log.info("the device CA is read again; until %s", self.ca.ends.isoformat())
        return True

    def _read(self) -> DeviceCa:
        key = self._kms_key or self._key_file
        assert key is not None
        found = read_ca(self._certificate_file, key)
        ENDS.set(found.ends.timestamp())
        REJECTED.set(0)
        return found

    def _stamp(self) -> _Stamp | None:
        """Return what changes with the files. None: one cannot be read."""
        try:
            files = [one for one in (self._certificate_file, self._key_file) if one is not None]
            stats = [file.stat() for file in files]
        except OSError:
            return None
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)


def kms_key(settings: Settings) -> ec.EllipticCurvePrivateKey | None:
    """Return the device CA's key in the KMS; None: a file has it. ConfigError."""
    if not settings.device_ca_kms_key:
        return None
    return open_kms_key(settings, settings.device_ca_kms_key)


def open_kms_key(settings: Settings, key: str) -> ec.EllipticCurvePrivateKey:
    """Return a key in the KMS of the settings. ConfigError."""
    from stores.kms_key import KmsKey  # noqa: PLC0415 - only where a KMS is used

    ca_file = None if settings.aws_ca_file is None else str(settings.aws_ca_file)
    return KmsKey.open(AwsEndpoint(settings.aws_region, settings.kms_endpoint, ca_file), key)


def _missing(setting: str) -> str:
    return f"{setting} is missing. docs/how-to/devices.md says how to set up the devices' address."
