"""The disk of the footage, on loop devices: what is refused, and what a second run finishes.

The kernel of a test machine has no device-mapper: opening and mounting are for the VM.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.infra.edge_site import run_tasks

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("cryptsetup", "losetup", "mkfs.ext4"))),
        reason="needs cryptsetup, losetup, mkfs.ext4 and root",
    ),
]
SIZE = 64 << 20
NEEDED = 32 << 20


@dataclass
class Disk:
    """A disk, and the folder of its device's keys."""

    path: str
    work: Path

    def prepare(self, *, path: str = "", fails: bool = False, **variables: object) -> str:
        """Run the role up to the keys; return what Ansible printed."""
        own = {
            "vigil_footage_disk": path or self.path,
            "disks_min_bytes": NEEDED,
            "disks_tpm": False,
            "disks_key_file": str(self.work / "footage.key"),
            "disks_recovery_file": str(self.work / "recovery"),
            **variables,
        }
        return run_tasks(
            "disks", ("check.yml", "encrypt.yml"), self.work, variables=own, fails=fails
        )

    def changes(self, printed: str) -> int:
        return int(printed.rpartition("changed=")[2].split()[0])

    def run(self, *command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    @property
    def uuid(self) -> str:
        """Identity of the encrypted disk: another one after each format."""
        return self.run("cryptsetup", "luksUUID", self.path).strip()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(SIZE)
    (tmp_path / "bin").mkdir()
    path = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        yield Disk(path, tmp_path)
    finally:
        subprocess.run(["losetup", "--detach", path], check=False)


def test_a_disk_that_is_not_there_is_named(disk: Disk) -> None:
    missing = "/dev/disk/by-id/nvme-eui.0000"
    printed = disk.prepare(path=missing, fails=True)
    assert f"{missing} does not exist: correct footage_disk in the file of the site" in printed


def test_a_disk_that_is_too_small_is_refused(disk: Disk) -> None:
    printed = disk.prepare(fails=True, disks_min_bytes=2 * SIZE)
    assert f"{disk.path} has {SIZE} bytes, less than {2 * SIZE}: choose a larger disk." in printed


@pytest.mark.parametrize("kind", ["file system", "partitions", "two kinds"])
def test_a_disk_with_data_is_refused_and_stays_as_it_is(disk: Disk, kind: str) -> None:
    if kind == "partitions":
        subprocess.run(["sfdisk", "-q", disk.path], input="label: gpt\n,\n", text=True, check=True)
    else:
        disk.run("mkfs.ext4", "-q", "-F", disk.path)
    if kind == "two kinds":  # blkid does not say which
        with Path(disk.path).open("r+b") as device:
            device.seek(4086)
            device.write(b"SWAPSPACE2")
    before = Path(disk.path).read_bytes()
    printed = disk.prepare(fails=True)
    assert f"{disk.path} is not empty and not ours" in printed
    assert f"If nothing on it is needed: wipefs --all {disk.path}" in printed
    assert Path(disk.path).read_bytes() == before
    disk.run("wipefs", "--quiet", "--all", disk.path)
    disk.prepare()
    assert disk.uuid


def test_a_disk_that_cannot_be_read_is_refused(disk: Disk) -> None:
    # In a failing disk's place: loop devices read zeros where their file has an error.
    fake = disk.work / "bin/head"
    fake.write_text("#!/bin/sh\necho 'head: error reading: Input/output error' >&2\nexit 1\n")
    fake.chmod(0o755)
    printed = disk.prepare(fails=True)
    assert "Input/output error): it fails. Replace it." in printed


def test_a_second_run_changes_nothing(disk: Disk) -> None:
    assert disk.changes(disk.prepare()) > 0
    uuid, recovery = disk.uuid, (disk.work / "recovery").read_text()
    assert disk.changes(disk.prepare()) == 0
    assert (disk.uuid, (disk.work / "recovery").read_text()) == (uuid, recovery)
    key = str(disk.work / "footage.key")
    disk.run("cryptsetup", "open", "--test-passphrase", "--key-file", key, disk.path)


def test_a_run_that_ended_in_the_middle_is_finished_by_the_next(disk: Disk) -> None:
    """The disk is encrypted already, and then the TPM does not answer: this machine has none."""
    printed = disk.prepare(fails=True, disks_tpm=True)
    assert "The TPM of this device cannot keep the disk's key" in printed
    assert "Nothing is lost" in printed
    uuid = disk.uuid
    disk.prepare()
    assert disk.uuid == uuid, "it was not formatted again"
    assert "recovery" in disk.run("systemd-cryptenroll", disk.path)


def test_another_devices_disk_is_refused(disk: Disk) -> None:
    disk.prepare()
    (disk.work / "footage.key").unlink()
    printed = disk.prepare(fails=True)
    assert "this device has no key for it: it was another device's" in printed
