"""The certificate of a device: what it says, and how it is read, at the device and in the cloud.

subject       CN = acme/berlin/edge-1
alternative   URI urn:vigil:device:acme/berlin/edge-1, URI urn:vigil:generation:7
key           Ed25519, of the device
use           TLS client
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from domain.device_identity import check_device, key_id
from domain.errors import InvalidIdError

DEVICE_URN = "urn:vigil:device:"
GENERATION_URN = "urn:vigil:generation:"
MAX_PEM_CHARS = 8_000


class CertificateError(ValueError):
    """A certificate is not one of a device."""


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """What a device's certificate says. Who signed it is checked elsewhere, by TLS."""

    device: str
    """tenant/site/device."""
    generation: int
    key: str
    """Id of its public key."""
    public_key: bytes
    """Raw, 32 bytes."""
    not_before_ms: int
    not_after_ms: int
    """UTC ms."""

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read the first certificate in PEM. Raises CertificateError."""
        try:
            return cls._of(x509.load_pem_x509_certificate(pem))
        except ValueError as error:
            raise CertificateError(f"the certificate cannot be read: {error}") from None

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """Read a certificate in DER, as TLS has it. Raises CertificateError."""
        try:
            return cls._of(x509.load_der_x509_certificate(der))
        except ValueError as error:
            raise CertificateError(f"the certificate cannot be read: {error}") from None

    @classmethod
    def _of(cls, certificate: x509.Certificate) -> Self:
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            key = certificate.public_key()
        except (x509.ExtensionNotFound, UnsupportedAlgorithm):
            raise CertificateError("the certificate is not one of a device") from None
        uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
        devices = [uri.removeprefix(DEVICE_URN) for uri in uris if uri.startswith(DEVICE_URN)]
        generations = [
            uri.removeprefix(GENERATION_URN) for uri in uris if uri.startswith(GENERATION_URN)
        ]
        if (
            not isinstance(key, Ed25519PublicKey)
            or len(devices) != 1
            or len(generations) != 1
            or not generations[0].isdecimal()
        ):
            raise CertificateError("the certificate is not one of a device")
        try:
            device = check_device(devices[0])
        except InvalidIdError as error:
            raise CertificateError(str(error)) from None
        raw = key.public_bytes_raw()
        return cls(
            device,
            int(generations[0]),
            key_id(raw),
            raw,
            _ms(certificate.not_valid_before_utc),
            _ms(certificate.not_valid_after_utc),
        )

    @property
    def half_ms(self) -> int:
        """The middle of its life, UTC ms: from then on it is renewed."""
        return (self.not_before_ms + self.not_after_ms) // 2


def device_names(device: str, generation: int) -> x509.SubjectAlternativeName:
    """Return the names in the certificate of a device."""
    return x509.SubjectAlternativeName(
        [
            x509.UniformResourceIdentifier(f"{DEVICE_URN}{device}"),
            x509.UniformResourceIdentifier(f"{GENERATION_URN}{generation}"),
        ]
    )


def _ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1_000)
