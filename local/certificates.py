"""A private certificate authority for the local services, with a user and a password."""

import datetime
import ipaddress
import os
import secrets
from pathlib import Path

from local.ports import HOST

USER = "vigil"
OTHER_USERS = ("relay", "workers", "web", "link", "operator", "stranger")
"""Users of Kafka with the same password: they may do only what ACLs allow."""
_DAYS = 3_650


class Certificates:
    """Files in one folder, created once: authority, server certificate, password.

    The certificate is valid only for 127.0.0.1, and for no other name.
    """

    def __init__(self, folder: Path) -> None:
        self.ca_file = folder / "ca.pem"
        self.server_file = folder / "server.pem"
        """The server's key and certificate."""
        self.password_file = folder / "password"
        self._folder = folder

    @property
    def password(self) -> str:
        """The password of USER at Kafka and PostgreSQL."""
        return self.password_file.read_text()

    def make(self) -> None:
        """Create the files that are missing."""
        if self.server_file.exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        _write(self.password_file, secrets.token_urlsafe(24).encode())
        authority, server = make_pair(HOST)
        self.ca_file.write_bytes(authority)
        _write(self.server_file, server)


def make_pair(address: str) -> tuple[bytes, bytes]:
    """Return the PEM of a new authority, and the PEM of a key and its certificate for `address`."""
    from cryptography import x509  # noqa: PLC0415 - slow to import, needed once
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    now = datetime.datetime.now(datetime.UTC)
    until = now + datetime.timedelta(days=_DAYS)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)])
        for each in ("Vigil's local authority", "Vigil's local services")
    )

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(subject == ca_name, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
                critical=False,
            )
        )

    ca_use = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    ca = builder(ca_name, ca_key.public_key()).add_extension(ca_use, critical=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    server = builder(name, key.public_key()).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    return (
        ca.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + server.sign(ca_key, hashes.SHA256()).public_bytes(pem),
    )


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
