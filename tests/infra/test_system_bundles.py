"""Bundles of the system: which ones RAUC takes, and what this device's own rules add.

Installing one needs a machine: `make vm`.
"""

import datetime as dt
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

pytestmark = [
    pytest.mark.infra,
    pytest.mark.skipif(
        not (shutil.which("rauc") and shutil.which("mksquashfs")),
        reason="bundles need rauc and squashfs-tools",
    ),
]
IMAGE = Path("ops/edge/image")
FILES = Path("ops/edge/roles/system_update/files")
NOW = dt.datetime.now(dt.UTC)


@dataclass
class Authority:
    """A CA of bundles, made for a test."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        self.certificate = self._sign(self.subject, self.private.public_key(), 3650, ca=True)
        self.pem = self.folder / f"{self.name}.pem"
        self.pem.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int, *, ca: bool = False
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - dt.timedelta(days=30))
            .not_valid_after(NOW + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .sign(self.private, hashes.SHA256())
        )

    def signer(self, name: str, days: int = 365) -> tuple[Path, Path, x509.Certificate]:
        """Return certificate and key of someone who signs bundles."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._sign(subject, key.public_key(), days)
        certificate, private = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, private, made

    def revoked(self, *certificates: x509.Certificate) -> bytes:
        """Return the list of revoked signers, PEM."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.subject)
        builder = builder.last_update(NOW - dt.timedelta(days=1))
        builder = builder.next_update(NOW + dt.timedelta(days=365))
        for one in certificates:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(one.serial_number)
                .revocation_date(NOW - dt.timedelta(days=1))
                .build()
            )
        return builder.sign(self.private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def bundle(folder: Path, name: str, signer: tuple[Path, Path, x509.Certificate]) -> Path:
    """Sign a small slot as a bundle, by the script that release uses."""
    slot = folder / "slot.ext4"
    if not slot.exists():
        slot.write_bytes(os.urandom(1 << 20))
    out = folder / f"{name}.raucb"
    if not out.exists():
        subprocess.run(
            ["bash", IMAGE / "bundle.sh", slot, "2.0", signer[0], signer[1], out],
            check=True, capture_output=True,
        )  # fmt: skip
    return out


def extract(bundle: Path, ca: Path, *, check_crl: bool = False) -> str:
    """Check a bundle whole, payload and all; return why RAUC refuses it, or nothing."""
    settings = bundle.parent / "system.conf"
    settings.write_text(
        f"[system]\ncompatible=vigil-edge-x86_64\nbootloader=noop\n"
        f"[keyring]\npath={ca}\ncheck-crl={'true' if check_crl else 'false'}\n"
        "[slot.rootfs.0]\ndevice=/dev/null\nbootname=A\n"
    )
    out = bundle.parent / "extracted"
    shutil.rmtree(out, ignore_errors=True)
    result = subprocess.run(
        ["rauc", "--conf", settings, "extract", bundle, out],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if result.returncode == 0:
        assert (out / "rootfs.ext4").read_bytes() == (bundle.parent / "slot.ext4").read_bytes()
        return ""
    return result.stderr or "refused"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("bundles"), "bundles")


@pytest.fixture(scope="module")
def good(authority: Authority) -> Path:
    return bundle(authority.folder, "good", authority.signer("release"))


def test_a_good_bundle_is_taken_and_has_verity(authority: Authority, good: Path) -> None:
    assert extract(good, authority.pem) == ""
    shown = subprocess.run(
        ["rauc", "--keyring", authority.pem, "info", good],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for text in ("vigil-edge-x86_64", "2.0", "verity"):
        assert text in shown


@pytest.mark.parametrize("place", ["payload", "signature", "end"])
def test_a_changed_bundle_is_refused(authority: Authority, good: Path, place: str) -> None:
    data = bytearray(good.read_bytes())
    signature = int.from_bytes(data[-8:], "big")  # its size is in the last 8 bytes
    at = {"payload": 200_000, "signature": len(data) - signature, "end": len(data) - 1}[place]
    data[at] ^= 1
    changed = authority.folder / "changed.raucb"
    changed.write_bytes(data)
    assert extract(changed, authority.pem)


def test_a_bundle_that_was_cut_is_refused(authority: Authority, good: Path) -> None:
    cut = authority.folder / "cut.raucb"
    cut.write_bytes(good.read_bytes()[:-1_000])
    assert extract(cut, authority.pem)


def test_a_bundle_of_another_ca_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "bundles")  # with the same name
    foreign = bundle(tmp_path, "foreign", other.signer("release"))
    assert "verif" in extract(foreign, authority.pem)
    assert extract(foreign, other.pem) == ""


def test_a_signer_whose_time_is_over_is_refused(authority: Authority) -> None:
    expired = bundle(authority.folder, "expired", authority.signer("old", days=-1))
    assert "expired" in extract(expired, authority.pem)


def test_a_revoked_signer_is_refused(authority: Authority, good: Path) -> None:
    thief = authority.signer("thief")
    stolen = bundle(authority.folder, "stolen", thief)
    assert extract(stolen, authority.pem) == ""
    keyring = authority.folder / "keyring.pem"
    keyring.write_bytes(authority.pem.read_bytes() + authority.revoked(thief[2]))
    assert "revoked" in extract(stolen, keyring, check_crl=True)
    assert extract(good, keyring, check_crl=True) == ""


OFFERS = [
    # offered, runs, allowed once: taken
    ("2.0", "1.0", False, True),
    ("1.0", "1.0", False, True),
    ("2026.12.1", "2026.11.30", False, True),
    ("1.10", "1.9", False, True),
    ("1.9", "1.10", False, False),
    ("2026.9.1", "2026.11.30", False, False),
    ("1.0", "2.0", True, True),
    ("", "1.0", False, False),
]


@pytest.mark.parametrize(("offered", "runs", "allowed", "taken"), OFFERS)
def test_an_older_system_is_not_taken(
    tmp_path: Path, offered: str, runs: str, allowed: bool, taken: bool
) -> None:
    manifest, system, allow = (tmp_path / name for name in ("manifest", "system", "allow"))
    manifest.write_text(f"[update]\ncompatible=x\n{f'version={offered}' if offered else ''}\n")
    system.write_text(f"{runs}\n")
    if allowed:
        allow.touch()
    names = {"VIGIL_MANIFEST": manifest, "VIGIL_SYSTEM": system, "VIGIL_ALLOW": allow}
    result = subprocess.run(
        ["sh", FILES / "accept-bundle.sh"],
        check=False, capture_output=True, text=True,
        env={**os.environ, **{name: str(value) for name, value in names.items()}},
    )  # fmt: skip
    assert (result.returncode == 0) == taken, result.stderr
    assert taken or "refused" in result.stderr
    assert not allow.exists(), "an exception counts once"


def test_a_device_keeps_its_own_files(tmp_path: Path) -> None:
    old, new, listed = tmp_path / "old", tmp_path / "new", tmp_path / "list"
    for path, text in {"etc/hostname": "s0042-a", "etc/nftables.d/x.conf": "x"}.items():
        (old / path).parent.mkdir(parents=True, exist_ok=True)
        (old / path).write_text(text)
    (new / "etc/nftables.d").mkdir(parents=True)
    (new / "etc/hostname").write_text("image")
    (new / "etc/nftables.d/left-over.conf").write_text("not ours")
    listed.write_text("# a list\n\n/etc/hostname\n/etc/nftables.d\n/etc/missing\n")
    names = {"VIGIL_LIST": listed, "VIGIL_FROM": old, "VIGIL_TO": new}
    for _ in range(2):
        subprocess.run(
            ["bash", FILES / "carry-files.sh"],
            check=True, env={**os.environ, **{name: str(path) for name, path in names.items()}},
        )  # fmt: skip
        assert (new / "etc/hostname").read_text() == "s0042-a"
        assert [path.name for path in (new / "etc/nftables.d").iterdir()] == ["x.conf"]
