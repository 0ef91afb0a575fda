"""`vigil edge enrol`: this device makes its key, and a code gets it its first certificate."""

import asyncio
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from domain.device_identity import check_device, key_id
from domain.errors import ConfigError, InvalidIdError, StoreError
from edge_bridge.identity.folder import EnrolmentRecord, IdentityFolder
from edge_bridge.identity.server import DeviceServer, clock_problem
from stores.device_certificate import CertificateError, DeviceCertificate


def device_id(site: str, edge: str) -> str:
    """Return tenant/site/device for a device's name; ConfigError: the name cannot be one."""
    name = edge.lower().replace("_", "-").replace(".", "-")
    try:
        return check_device(f"{site}/{name}")
    except InvalidIdError as error:
        raise ConfigError(f"`edge` in the configuration: {error}") from None


def check_url(url: str) -> str:
    """Return the address of devices without a final slash; ConfigError."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ConfigError(
            f"--url {url} is not an address: write https://HOST or https://HOST:PORT."
        )
    return url.rstrip("/")


async def enrol(
    root: Path, device: str, url: str, code: str, ca_file: Path | None
) -> DeviceCertificate:
    """Enrol this device; return its certificate. An interrupted one goes on with the same code.

    ConfigError: what to do instead. The identity of before stays until the answer is here.
    """
    folder = IdentityFolder(root)
    server_ca: bytes | None = None
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if ca_file is not None:
            server_ca = await asyncio.to_thread(ca_file.read_bytes)
        key = folder.enrolling_key()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{ca_file or root} cannot be used: {error}.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    server = DeviceServer(url)
    body = {"code": code, "device": device, "csr": _request(key, device)}
    try:
        answer = await server.post("/device/v1/enrol", body, context)
    except StoreError as error:
        text = str(error)
        raise ConfigError(text.replace("this device", "This device", 1)) from None
    try:
        pem = str(answer["certificate"])
        certificate = DeviceCertificate.from_pem(pem.encode())
        record = EnrolmentRecord(device, url, answer.get("config_key"), int(answer["now_ms"]))
    except (KeyError, TypeError, ValueError, CertificateError):
        raise ConfigError(f"{url} sends no certificate: check the address.") from None
    if certificate.key != key_id(key.public_key().public_bytes_raw()):
        raise ConfigError(f"{url} sends a certificate of another key: check the address.")
    if certificate.device != device:
        raise ConfigError(f"{url} sends a certificate of another device: check the address.")
    try:
        folder.store_enrolment(record, pem, server_ca)
    except OSError as error:
        raise ConfigError(f"{root} cannot be written: {error.strerror}.") from None
    return certificate


def clock_warning(certificate: DeviceCertificate, now_ms: int) -> str | None:
    """Return what is wrong with this device's clock after an enrolment; None: nothing."""
    # The certificate begins an hour before it was issued.
    return clock_problem(certificate.not_before_ms + 3_600_000, now_ms)


def _request(key: Ed25519PrivateKey, device: str) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device[-64:])])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, None)
    return request.public_bytes(serialization.Encoding.PEM).decode()
