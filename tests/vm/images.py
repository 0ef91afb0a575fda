"""What the virtual machine starts from: a disk, and bundles, made once and kept in the cache.

Systems of the test differ in little: a good one, one that records nothing, one that does not start.
"""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

IMAGE = Path("ops/edge/image").resolve()
SLOT_SIZE = "800M"
SUBSTITUTE = '''#!/usr/bin/python3
"""In place of the program: says what it records, and writes to the spool."""
import http.server, json, pathlib, threading, time
STATES = pathlib.Path("/usr/lib/vigil/substitute.json")
SPOOL = pathlib.Path("/srv/vigil/spool")

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = STATES.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

def record():
    while True:
        with SPOOL.open("a") as file:
            file.write("x")
        time.sleep(1)

threading.Thread(target=record, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", 9500), Health).serve_forever()
'''
_MASKED = (
    "strongswan.service", "apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer",
    "chrony.service", "unattended-upgrades.service", "prometheus-node-exporter.service",
    "serial-getty@ttyS0.service", "getty@tty1.service", "systemd-timesyncd.service",
    "systemd-firstboot.service", "systemd-networkd-wait-online.service", "e2scrub_reap.service",
)  # fmt: skip
"""Nothing of the update needs them, and each costs seconds of an emulated processor."""


@dataclass(frozen=True)
class Images:
    """Paths of what was made."""

    disk: Path
    bundles: Path
    key: Path


def _report(recording: int) -> str:
    """Return the health of a program that records so many cameras."""
    return json.dumps({"cameras": [{"state": "recording"}] * recording})


def _extra(folder: Path) -> Path:
    """Return a tree that is laid over the root: access, the substitute, one network."""
    tree = folder / "extra"
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("key", "host"):
        if not (folder / name).exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
            )
    units = "etc/systemd/system"
    files = {
        # What this machine needs and no more: each megabyte costs time.
        "etc/initramfs-tools/conf.d/test": "MODULES=list\n",
        "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
        "root/.ssh/authorized_keys": (folder / "key.pub").read_text(),
        "etc/ssh/ssh_host_ed25519_key": (folder / "host").read_text(),
        "etc/systemd/network/80-test.network": "[Match]\nName=en*\n[Network]\nDHCP=ipv4\n",
        "etc/default/vigil-system-gate": "VIGIL_GATE_S=20\n",
        "usr/lib/vigil/substitute": SUBSTITUTE,
        "usr/lib/vigil/substitute.json": _report(2),
        f"{units}/vigil-edge.service": "[Unit]\nRequiresMountsFor=/srv/vigil\n"
        "[Service]\nExecStart=/usr/bin/python3 /usr/lib/vigil/substitute\n"
        "[Install]\nWantedBy=multi-user.target\n",
    }
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for private in ("root", "root/.ssh"):
        (tree / private).chmod(0o700)
    (tree / "etc/ssh/ssh_host_ed25519_key").chmod(0o600)
    wants = tree / units / "multi-user.target.wants"
    wants.mkdir()
    (wants / "vigil-edge.service").symlink_to("/etc/systemd/system/vigil-edge.service")
    (wants / "systemd-networkd.service").symlink_to("/lib/systemd/system/systemd-networkd.service")
    for unit in _MASKED:
        (tree / units / unit).symlink_to("/dev/null")
    return tree


def _change(slot: Path, target: Path, version: str, commands: list[str]) -> Path:
    """Copy a slot with another version and some changes, without mounting it."""
    subprocess.run(["cp", "--sparse=always", slot, target], check=True)
    note = target.with_suffix(".version")
    note.write_text(f"{version}\n")
    wanted = ["rm /usr/lib/vigil/system-version", f"write {note} /usr/lib/vigil/system-version"]
    subprocess.run(
        ["debugfs", "-w", "-f", "-", target], input="\n".join([*wanted, *commands]),
        text=True, check=True, capture_output=True,
    )  # fmt: skip
    return target


def _script(folder: Path, name: str, *arguments: str | Path, **more: str) -> None:
    """Run a script of the golden image, as for a machine of these tests."""
    environment = {
        **os.environ, "VIGIL_EXTRA": str(folder / "extra"), "VIGIL_SLOT_SIZE": SLOT_SIZE,
        "VIGIL_KERNEL": "console=ttyS0 quiet mitigations=off audit=0 apparmor=0",
        "MKSQUASHFS": "-comp zstd -Xcompression-level 1",
    }  # fmt: skip
    subprocess.run(
        ["bash", IMAGE / name, *arguments], check=True, env={**environment, **more},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _bundle(folder: Path, slot: Path, version: str, name: str, ca: str = "ca", **more: str) -> None:
    signer = (folder / f"{ca}.crt", folder / f"{ca}.key")
    _script(folder, "bundle.sh", slot, version, *signer, folder / "content" / name, **more)


def _pack(folder: Path, disk: Path, size: str) -> None:
    """Make a disk of the bundles."""
    disk.unlink(missing_ok=True)
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", folder / "content", disk, size],
        check=True,
    )
    shutil.rmtree(folder / "content")


def make(folder: Path) -> Images:
    """Make all that is missing in a folder that is kept, but for the next release's bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Images(folder / "disk.raw", folder / "bundles.ext4", folder / "key")
    mark = folder / "made"
    wanted = fingerprint()
    if mark.exists() and mark.read_text() == wanted:
        return made
    authority(folder, "ca")
    authority(folder, "other")
    _extra(folder)
    slot = folder / "slot.ext4"
    _script(folder, "debian.sh", "bookworm", slot, "1.0", folder / "ca.pem")
    footage = folder / "footage.ext4"
    footage.unlink(missing_ok=True)
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-L", "vigil-footage", footage, "32M"], check=True
    )
    _script(folder, "disk.sh", made.disk, slot, footage)
    silent = folder / "silent.json"
    silent.write_text(_report(0))
    health = "/usr/lib/vigil/substitute.json"
    shutil.rmtree(folder / "content", ignore_errors=True)
    (folder / "content").mkdir()
    for name, version, commands in (
        ("good", "2.0", []),
        ("silent", "3.0", [f"rm {health}", f"write {silent} {health}"]),
        ("dead", "4.0", ["rm /usr/sbin/init"]),
    ):
        changed = _change(slot, folder / f"{name}.ext4", version, list(commands))
        _bundle(folder, changed, version, f"{name}.raucb")
        changed.unlink()
    small = folder / "small"
    small.write_bytes(os.urandom(1 << 20))
    _bundle(folder, small, "2.0", "ca.raucb", "other")
    _bundle(folder, small, "2.0", "hardware.raucb", COMPATIBLE="vigil-edge-arm")
    _bundle(folder, small, "0.9", "older.raucb")
    damaged = bytearray((folder / "content/older.raucb").read_bytes())
    damaged[300_000] ^= 1
    (folder / "content/damaged.raucb").write_bytes(damaged)
    _pack(folder, made.bundles, "1000M")
    mark.write_text(wanted)
    return made


def make_next(folder: Path) -> Path:
    """Return a disk with a bundle of Debian's next release; after `make`."""
    disk, mark = folder / "next.raw", folder / "made-next"
    if not (mark.exists() and mark.read_text() == fingerprint()):
        slot = folder / "next.ext4"
        _script(folder, "debian.sh", "trixie", slot, "5.0", folder / "ca.pem")
        shutil.rmtree(folder / "content", ignore_errors=True)
        (folder / "content").mkdir()
        _bundle(folder, slot, "5.0", "next.raucb")
        slot.unlink()
        _pack(folder, disk, "500M")
        mark.write_text(fingerprint())
    return disk


def authority(folder: Path, name: str) -> None:
    """Make a CA of bundles that signs them itself, for tests."""
    if not (folder / f"{name}.pem").exists():
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
             "-subj", f"/CN=test {name}", "-days", "3650"],
            check=True, capture_output=True,
        )  # fmt: skip
        shutil.copy(folder / f"{name}.pem", folder / f"{name}.crt")


def fingerprint() -> str:
    """Return a digest of what the images are made from."""
    digest = hashlib.sha256()
    role = IMAGE.parent / "roles/system_update"
    for root in (IMAGE, IMAGE.parent / "image.yml", role, Path(__file__)):
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()
