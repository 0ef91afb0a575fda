"""The certificate authority of devices: it signs their certificates, and it is trusted by TLS.

    certificate file   PEM, one or more: the one of the key signs, all are trusted
    key                ECDSA P-256: a file (PEM, 0600), or a key in a KMS (kms_key.py)

Two certificates in the file are a rotation: devices that hold a certificate of the old authority
stay connected, and each renewal gives them one of the new. device_ca_rotation.py has the steps.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from domain.errors import ConfigError
from stores.device_certificate import device_names

CA_YEARS = 10
SKEW = timedelta(hours=1)
"""Certificates begin this much earlier: clocks of servers differ."""
CERTIFICATE_SETTING = "VIGIL_DEVICE_CA_CERTIFICATE_FILE"
KEY_SETTING = "VIGIL_DEVICE_CA_KEY_FILE"
KMS_SETTING = "VIGIL_DEVICE_CA_KMS_KEY"


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate that was issued just now."""

    pem: str
    expires_ms: int
    """UTC ms."""


class DeviceCa:
    """Signs certificates of devices."""

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, certificates: Sequence[x509.Certificate]
    ) -> None:
        """`certificates`: that of the key, and others that are trusted too. ConfigError."""
        own = [one for one in certificates if one.public_key() == key.public_key()]
        if not own:
            raise ConfigError(
                f"{CERTIFICATE_SETTING} has no certificate of the key in {KEY_SETTING} or "
                f"{KMS_SETTING}. Put the certificate that `vigil device ca create` made with this "
                "key into the file."
            )
        self._key = key
        self._certificate = own[0]
        self._trusted = tuple(certificates)
        self.trusted_pem = "".join(
            one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates
        )
        """All certificates, PEM: what TLS trusts."""
        self.certificate_pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        """Of the key, PEM."""

    @property
    def ends(self) -> datetime:
        """When its own certificate ends."""
        return self._certificate.not_valid_after_utc

    @property
    def is_rotating(self) -> bool:
        """Whether other authorities are trusted too."""
        return len(self._trusted) > 1

    def issue(
        self,
        public_key: bytes,
        device: str,
        generation: int,
        now_ms: int,
        lifetime_s: int = 86_400,
    ) -> IssuedCertificate:
        """Return a certificate for a raw Ed25519 key; `now_ms`: UTC.

        With a key in a KMS it waits for the network: call it in a thread. Raises StoreError then.
        """
        now = datetime.fromtimestamp(now_ms / 1_000, UTC).replace(microsecond=0)
        key = Ed25519PublicKey.from_public_bytes(public_key)
        ends = min(now + timedelta(seconds=lifetime_s), self.ends)
        # A common name has at most 64 characters. The alternative names are what counts.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device[-64:])])
        issuer_key = self._certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        ).value
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - SKEW, self._certificate.not_valid_before_utc))
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(device_names(device, generation), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        return IssuedCertificate(pem, int(ends.timestamp() * 1_000))

    def has_issued(self, certificate_pem: str) -> bool:
        """Say whether a trusted authority has signed a certificate, which may have expired."""
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
        except ValueError:
            return False
        for authority in self._trusted:
            try:
                certificate.verify_directly_issued_by(authority)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return True
        return False


def create_ca(certificate_file: Path, key_file: Path, name: str, now: datetime) -> None:
    """Make a key and its certificate, each in a new file. ConfigError where a file exists."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = certify(key, name, now)
    write_new(key_file, private_pem(key), 0o600)
    try:
        write_new(certificate_file, certificate, 0o644)
    except ConfigError:
        key_file.unlink()
        raise


def certify(key: ec.EllipticCurvePrivateKey, name: str, now: datetime) -> bytes:
    """Return the authority's own certificate, PEM. Raises StoreError where a KMS does not sign."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=366 * CA_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(own_id, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as the key file has it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def read_ca(certificate_file: Path, key: Path | ec.EllipticCurvePrivateKey) -> DeviceCa:
    """Return the authority of a certificate file and a key, or a key's file.

    ConfigError names the file that cannot be used.
    """
    certificates = _read_certificates(certificate_file)
    return DeviceCa(_read_key(key) if isinstance(key, Path) else key, certificates)


def _read_certificates(certificate_file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(certificate_file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{CERTIFICATE_SETTING}: {certificate_file}: {error.strerror}.") from None
    except ValueError:
        raise ConfigError(
            f"{CERTIFICATE_SETTING}: {certificate_file} has no certificate in PEM. Make one with "
            "`vigil device ca create`."
        ) from None


def _read_key(key_file: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{KEY_SETTING}: {key_file}: {error.strerror}.") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(
            f"{KEY_SETTING}: {key_file} is not an ECDSA key in PEM without a password. Make one "
            "with `vigil device ca create`."
        )
    return key


def _usage(**given: bool) -> x509.KeyUsage:
    unused = {
        "digital_signature": False, "content_commitment": False, "key_encipherment": False,
        "data_encipherment": False, "key_agreement": False, "key_cert_sign": False,
        "crl_sign": False, "encipher_only": False, "decipher_only": False,
    }  # fmt: skip
    return x509.KeyUsage(**{**unused, **given})


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not exist. ConfigError."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise ConfigError(f"{path} cannot be made: {error.strerror}.") from None
    with os.fdopen(file, "wb") as opened:
        opened.write(data)
