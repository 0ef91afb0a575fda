"""The device CA: changed while its worker runs, and with its key in a KMS (moto's)."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from cli import main as cli
from domain.errors import ConfigError, StoreError
from domain.times import utc_ms
from edge_bridge.identity.enrol import enrol
from edge_bridge.identity.folder import IdentityFolder
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.identity.renewal import IdentityRenewal
from stores.aws_endpoint import AwsEndpoint
from stores.catalog.enrolment import create_code
from stores.catalog.tenants import ensure_site
from stores.device_ca import read_ca
from stores.device_ca_rotation import next_key_file, retire, trust_key
from stores.kms_key import KmsKey
from tests.device_address import DeviceAddress, add_device, running_devices
from tests.infra.moto import REGION, moto_server

STATUS = "/device/v1/status"
DEVICE = "acme/hq/edge-1"
HOUR_MS = 3_600_000


def ca(verb: str, address: DeviceAddress, *more: str) -> None:
    """Run `vigil device ca VERB` on the worker's files; it reads them again."""
    files = address.files
    words = ["--certificate", str(files.ca_certificate), "--key", str(files.ca_key)]
    with pytest.raises(SystemExit) as ended:
        cli.main(["device", "ca", verb, *words, *more])
    assert ended.value.code == 0
    address.services.reload_files()


async def enrolled(address: DeviceAddress, root: Path, device: str = DEVICE) -> IdentityFolder:
    async with address.catalog.transaction() as connection:
        await ensure_site(connection, "acme/hq", utc_ms())
        _, code = await create_code(
            connection, "acme/hq", None, lifetime_ms=HOUR_MS, created_by="me", now_ms=utc_ms()
        )
    await enrol(root, device, address.url, code, address.files.server_ca)
    return IdentityFolder(root)


def is_by(authority: str, certificate: str) -> bool:
    """Return whether an authority has signed a certificate, both PEM."""
    try:
        x509.load_pem_x509_certificate(certificate.encode()).verify_directly_issued_by(
            x509.load_pem_x509_certificate(authority.encode())
        )
    except InvalidSignature:
        return False
    return True


async def status_of(address: DeviceAddress, folder: IdentityFolder) -> int | None:
    """Return the answer's status; None: TLS refuses the certificate."""
    async with address.client(folder.certificate_file, folder.key_file) as client:
        try:
            async with client.get(STATUS) as answer:
                return answer.status
        except aiohttp.ClientError:
            return None


async def renewed(folder: IdentityFolder) -> str:
    half_ms = utc_ms() + 15 * HOUR_MS
    identity = DeviceIdentity(folder.root)
    await IdentityRenewal(identity, folder.root, now_ms=lambda: half_ms).step()
    return folder.certificate_text()


async def test_the_authority_is_changed_while_the_worker_runs(
    services, tmp_path: Path, free_port: int
) -> None:
    async with running_devices(services, tmp_path, free_port) as address:
        files = address.files
        old = address.services.ca.certificate_pem
        folder = await enrolled(address, tmp_path / "one")

        ca("rotate", address)
        assert address.services.ca.certificate_pem == old
        assert next_key_file(files.ca_key).stat().st_mode & 0o777 == 0o600
        # Another worker may have switched already: what it signs is trusted here.
        early = read_ca(files.ca_certificate, next_key_file(files.ca_key))
        new = early.certificate_pem
        ahead = await add_device(address.catalog, "acme/hq/edge-2", tmp_path, early)
        ahead_folder = IdentityFolder(tmp_path / "ahead")
        ahead_folder.certificate_file, ahead_folder.key_file = ahead.files
        assert await status_of(address, ahead_folder) == 200
        assert is_by(old, await renewed(folder))

        ca("switch", address)
        assert not next_key_file(files.ca_key).exists()
        assert await status_of(address, folder) == 200  # with a certificate of the old one
        (tmp_path / "old.pem").write_text(folder.certificate_text())
        assert is_by(new, await renewed(folder))
        assert address.services.ca.has_issued((tmp_path / "old.pem").read_text())

        ca("retire", address)
        assert await status_of(address, folder) == 200
        folder.certificate_file = tmp_path / "old.pem"
        assert await status_of(address, folder) is None
        with pytest.raises(ConfigError, match="none to retire"):
            retire(files.ca_certificate, files.ca_key)


async def test_files_that_cannot_be_used_keep_the_authority(
    services, tmp_path: Path, free_port: int
) -> None:
    async with running_devices(services, tmp_path, free_port) as address:
        files, own = address.files, address.services
        good = files.ca_certificate.read_text()
        folder = await enrolled(address, tmp_path / "one")
        for bad in ("", "nonsense", files.server_ca.read_text()):
            files.ca_certificate.write_text(bad)
            own.reload_files()
            assert own.ca.certificate_pem == good
            assert "VIGIL_DEVICE_CA_CERTIFICATE_FILE" in (own.ca_files.problem or "")
            assert await status_of(address, folder) == 200
        files.ca_certificate.unlink()
        own.reload_files()
        files.ca_certificate.write_text(good)
        own.reload_files()
        assert own.ca_files.problem is None


# -- a key in a KMS


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any, ExitStack]]:
    """An address of a KMS, its client, and what stops it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", os.environ.get("AWS_ACCESS_KEY_ID", "test"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", os.environ.get("AWS_SECRET_ACCESS_KEY", "test"))
    with ExitStack() as stack:
        address = stack.enter_context(moto_server())
        yield address, boto3.client("kms", region_name=REGION, endpoint_url=address), stack


def made_key(client: Any, spec: str = "ECC_NIST_P256") -> str:
    made = client.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")
    return str(made["KeyMetadata"]["Arn"])


async def test_the_key_of_the_authority_is_in_a_kms(
    services, tmp_path: Path, free_port: int, kms: tuple[str, Any, ExitStack]
) -> None:
    address, client, stack = kms
    key, following = made_key(client), made_key(client)
    endpoint = AwsEndpoint(REGION, address)
    certificate = tmp_path / "kms-ca.pem"
    settings = {
        "VIGIL_KMS_ENDPOINT": address,
        "VIGIL_AWS_REGION": REGION,
        "VIGIL_DEVICE_CA_CERTIFICATE_FILE": str(certificate),
        "VIGIL_DEVICE_CA_KMS_KEY": key,
    }
    words = ["device", "ca", "create", "--certificate", str(certificate), "--kms-key", key]
    command = [sys.executable, "-m", "cli.main", *words]
    env = {**os.environ, **settings}
    done = await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, f"VIGIL_DEVICE_CA_KMS_KEY={key}" in done.stdout) == (0, True), done
    async with running_devices(services, tmp_path, free_port, **settings) as running:
        folder = await enrolled(running, tmp_path / "one")
        assert is_by(certificate.read_text(), folder.certificate_text())
        assert await status_of(running, folder) == 200

        # The next key of a rotation is trusted before it signs.
        new_key = KmsKey.open(endpoint, following)
        trust_key(certificate, new_key, "Next", datetime.now(UTC))
        running.services.reload_files()
        assert running.services.ca.is_rotating
        assert read_ca(certificate, new_key).certificate_pem != running.services.ca.certificate_pem
        retire(certificate, KmsKey.open(endpoint, key))
        running.services.reload_files()
        assert not running.services.ca.is_rotating

        # The KMS is away: a device is asked to come again, and its code is not used up.
        stack.close()
        with pytest.raises(ConfigError, match="key does not answer"):
            await enrolled(running, tmp_path / "two", "acme/hq/edge-2")
        async with running.catalog.transaction() as connection:
            used = await connection.fetch("SELECT used_by FROM enrolment_codes ORDER BY id")
        assert [row["used_by"] for row in used] == [DEVICE, None]


def test_a_key_that_cannot_be_used_is_named(kms: tuple[str, Any, ExitStack]) -> None:
    address, client, _ = kms
    endpoint = AwsEndpoint(REGION, address)
    for key in (made_key(client, "ECC_NIST_P384"), made_key(client, "RSA_2048"), "alias/none"):
        with pytest.raises(ConfigError, match=r"ECC_NIST_P256|kms:GetPublicKey"):
            KmsKey.open(endpoint, key)
    held = KmsKey.open(endpoint, made_key(client))
    with pytest.raises(TypeError, match="does not leave the KMS"):
        held.private_numbers()
    held._key = "alias/none"
    with pytest.raises(StoreError, match="does not sign"):
        held.sign(b"x", ec.ECDSA(hashes.SHA256()))
