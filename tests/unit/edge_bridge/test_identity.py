"""The identity of a device: its files, its signatures, its states."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.device_identity import (
    Device,
    DeviceKey,
    SignatureError,
    check_signature,
    key_id,
)
from domain.times import utc_ms
from edge_bridge.identity.folder import EnrolmentRecord, IdentityFolder
from edge_bridge.identity.identity import DeviceIdentity
from stores.device_ca import DeviceCa, create_ca, read_ca
from stores.device_certificate import DeviceCertificate

DEVICE = "acme/hq/edge-1"


@pytest.fixture
def ca(tmp_path: Path) -> DeviceCa:
    create_ca(tmp_path / "ca.pem", tmp_path / "ca.key", "Test devices", datetime.now(UTC))
    return read_ca(tmp_path / "ca.pem", tmp_path / "ca.key")


@pytest.fixture
def root(tmp_path: Path, ca: DeviceCa) -> Path:
    """Return the folder of a device that was enrolled as generation 3."""
    folder = IdentityFolder(tmp_path / "identity")
    public = folder.enrolling_key().public_key().public_bytes_raw()
    pem = ca.issue(public, DEVICE, 3, utc_ms()).pem
    folder.store_enrolment(EnrolmentRecord(DEVICE, "https://devices.test", None, 1), pem, None)
    return folder.root


def test_a_device_without_identity_signs_nothing(tmp_path: Path) -> None:
    for identity in (DeviceIdentity(None), DeviceIdentity(tmp_path / "none")):
        assert (identity.state, identity.device, identity.generation) == ("none", None, 0)
        assert identity.sign(b"{}") is None
        assert identity.ssl_context() is None
        assert identity.pause_reason is None


def test_an_enrolled_device_signs_with_its_generation(root: Path) -> None:
    identity = DeviceIdentity(root)
    assert (identity.state, identity.device, identity.generation) == ("enrolled", DEVICE, 3)
    public = IdentityFolder(root).load_key().public_key().public_bytes_raw()
    known = {DEVICE: Device(DEVICE, "enrolled", 3, {key_id(public): DeviceKey(public, 3)})}
    found = check_signature(identity.sign(b"{}"), b"{}", "acme/hq", known, "refuse")
    assert found is not None
    assert found.generation == 3
    with pytest.raises(SignatureError, match="forged"):
        check_signature(identity.sign(b"{}"), b"{ }", "acme/hq", known, "refuse")
    assert identity.ssl_context() is not None


def test_no_file_is_readable_for_others(root: Path) -> None:
    for file in [root, *root.iterdir()]:
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_a_damaged_file_stops_uploads_and_says_so(root: Path) -> None:
    for name in ("device.key", "certificate.pem", "identity.json"):
        whole = (root / name).read_bytes()
        for damaged in (b"", whole[: len(whole) // 2], b"\0" * 100):
            (root / name).write_bytes(damaged)
            identity = DeviceIdentity(root)
            assert identity.state == "damaged"
            assert identity.sign(b"{}") is None or name != "device.key"
            assert "Enrol this device again" in (identity.pause_reason or "")
        (root / name).write_bytes(whole)
    assert DeviceIdentity(root).state == "enrolled"


def test_a_refusal_outlives_a_restart(root: Path) -> None:
    identity = DeviceIdentity(root)
    changes = []
    identity.on_change.append(lambda: changes.append(identity.state))
    identity.refused("locked", "Two devices hold the identity.")
    again = DeviceIdentity(root)
    assert (again.state, again.detail) == ("locked", "Two devices hold the identity.")
    assert again.pause_reason is not None
    again.accepted()
    assert DeviceIdentity(root).pause_reason is None
    assert changes == ["locked"]


def test_a_renewal_keeps_its_id_until_it_is_answered(root: Path, ca: DeviceCa) -> None:
    folder = IdentityFolder(root)
    pending = folder.pending_renewal(3)
    assert folder.pending_renewal(3) == pending  # also after a power cut
    identity = DeviceIdentity(root)
    identity.refused("locked", "why")
    assert folder.pending_renewal(3) == pending
    public = folder.load_key().public_key().public_bytes_raw()
    pem = ca.issue(public, DEVICE, 4, utc_ms()).pem
    folder.store_certificate(pem)
    identity.renewed(DeviceCertificate.from_pem(pem.encode()))
    assert (identity.state, identity.generation) == ("enrolled", 4)
    assert folder.pending_renewal(4) != pending
    assert DeviceIdentity(root).generation == 4


def test_an_expired_certificate_is_not_shown(root: Path, ca: DeviceCa) -> None:
    folder = IdentityFolder(root)
    public = folder.load_key().public_key().public_bytes_raw()
    folder.store_certificate(ca.issue(public, DEVICE, 3, utc_ms() - 25 * 3_600_000).pem)
    identity = DeviceIdentity(root)
    assert identity.state == "enrolled"  # it is renewed by the key
    assert identity.ssl_context() is None
    assert identity.sign(b"{}") is not None
