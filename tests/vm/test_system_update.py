"""Updates of a device's system in a virtual machine: installed, refused, bad, and cut.

Run by `make vm`. Each test begins with a machine whose first start is over, and takes some minutes:
nothing here has KVM. Machines are kept in the cache, so one test can be run alone.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.images.engine import cache_folder
from tests.vm import images
from tests.vm.machine import Machine, powered

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(
        not (shutil.which("qemu-system-x86_64") and os.geteuid() == 0),
        reason="needs qemu, swtpm, OVMF, mmdebstrap and root: make vm installs them",
    ),
]
FOLDER = cache_folder().parent / "vm" / "images"
READY = "ready"
"""The snapshot after the first start."""
UPDATE = "/usr/lib/vigil/system-update"
IDENTITY = (
    "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; cat /etc/vigil/secret; "
    "cryptsetup luksUUID /dev/disk/by-partlabel/state; cat /etc/hostname"
)


def say(text: str) -> None:
    """Print a line of the log that docs/nightly keeps."""
    print(f"  {time.strftime('%M:%S')} {text}", flush=True)


@pytest.fixture(scope="module")
def made() -> images.Images:
    return images.make(FOLDER)


def kept(folder: Path, key: Path, bundles: Path) -> Machine | None:
    """Return a machine of an earlier run, if nothing that it was made from has changed."""
    mark = folder / "made"
    if mark.exists() and mark.read_text() == images.fingerprint():
        return Machine(folder, key, bundles)
    shutil.rmtree(folder, ignore_errors=True)
    return None


@pytest.fixture(scope="module")
def fresh(made: images.Images) -> Machine:
    """Return a machine that was kept after its first start."""
    folder = FOLDER / "fresh"
    if (machine := kept(folder, made.key, made.bundles)) is not None:
        return machine
    machine = Machine.make(folder, made.disk, made.key, made.bundles)
    began_s = time.monotonic()
    with powered(machine):
        machine.wait("A")
        say(f"first start: {time.monotonic() - began_s:.0f} s")
        machine.until("systemctl is-active vigil-system-gate")
        machine.ssh(
            "echo only-here > /etc/vigil/secret; mkdir -p /mnt; mount -r /dev/vdb /mnt; sync"
        )
        machine.save(READY)
        say("kept")
    (folder / "made").write_text(images.fingerprint())
    return machine


@pytest.fixture(scope="module")
def installed(fresh: Machine) -> Machine:
    """Return a machine with a good system in its other slot, before it starts again."""
    folder = FOLDER / "installed"
    assert fresh.bundles is not None
    if (machine := kept(folder, fresh.key, fresh.bundles)) is not None:
        return machine
    machine = fresh.copy(folder)
    (folder / "made").unlink()
    with powered(machine, READY):
        machine.wait("A")
        install(machine, "good")
        machine.save(READY)
    (folder / "made").write_text(images.fingerprint())
    return machine


@contextmanager
def copy_of(machine: Machine) -> Iterator[Machine]:
    """Go on with a copy of a machine, which is removed at the end."""
    copied = machine.copy(FOLDER / f"copy-{os.getpid()}")
    try:
        with powered(copied, READY):
            copied.wait("A")
            yield copied
    finally:
        shutil.rmtree(copied.folder)


@pytest.fixture
def machine(fresh: Machine) -> Iterator[Machine]:
    with copy_of(fresh) as copied:
        yield copied


@pytest.fixture
def ready(installed: Machine) -> Iterator[Machine]:
    with copy_of(installed) as copied:
        yield copied


def status(machine: Machine) -> dict[str, str]:
    """Return what RAUC says of each slot's boot state."""
    shown = json.loads(machine.ssh("rauc status --output-format=json 2>/dev/null"))
    slots = [slot for entry in shown["slots"] for slot in entry.values()]
    return {slot["bootname"]: slot["boot_status"] for slot in slots}


def result(machine: Machine) -> dict[str, object]:
    """Return what the gate decided last."""
    return dict(json.loads(machine.ssh("cat /state/update/result.json")))


def install(machine: Machine, name: str) -> None:
    began_s = time.monotonic()
    machine.ssh(f"{UPDATE} /mnt/{name}.raucb", timeout_s=330)
    say(f"installed {name}: {time.monotonic() - began_s:.0f} s")


def restart(machine: Machine, slot: str) -> None:
    """Start again, and expect a slot, in which the gate then ends."""
    began_s = time.monotonic()
    boot = machine.wait()
    machine.ssh("systemctl reboot", check=False)
    machine.wait(slot, boot)
    say(f"started again in {slot}: {time.monotonic() - began_s:.0f} s")


def settled(machine: Machine) -> None:
    machine.until("systemctl is-active vigil-system-gate && test ! -e /state/update/pending.json")


def test_the_first_start_encrypts_the_state_for_this_tpm(machine: Machine) -> None:
    assert "Secure boot enabled" in machine.ssh("dmesg | grep -i 'secure boot'")
    state = machine.ssh(
        "blkid -o value -s TYPE /dev/disk/by-partlabel/state; findmnt -no SOURCE /state; "
        "findmnt -no SOURCE /etc/vigil; cryptsetup luksDump /dev/disk/by-partlabel/state"
    )
    for text in ("crypto_LUKS", "/dev/mapper/vigil-state", "systemd-tpm2", "systemd-recovery"):
        assert text in state, state
    assert "\n  0: luks2" not in state, "the key of the format is removed"
    assert status(machine)["A"] == "good"


def test_bundles_that_are_refused(machine: Machine) -> None:
    for name, why in {
        "ca": "verif", "damaged": "", "older": "", "hardware": "ompatible",
    }.items():  # fmt: skip
        refused = machine.ssh(f"{UPDATE} /mnt/{name}.raucb 2>&1; echo rc=$?")
        assert refused.endswith("rc=1"), refused
        assert why in refused, refused
        say(f"refused: {name}")
    assert status(machine)["A"] == "good"
    assert machine.ssh("ls /state/update") == ""


def test_a_system_is_installed(ready: Machine) -> None:
    identity = ready.ssh(IDENTITY)
    spooled = int(ready.ssh("stat -c %s /srv/vigil/spool"))
    restart(ready, "B")
    settled(ready)
    assert result(ready)["good"] is True
    assert status(ready) == {"A": "good", "B": "good"}
    assert ready.ssh("cat /usr/lib/vigil/system-version") == "2.0"
    assert ready.ssh(IDENTITY) == identity, "the device stays who it is"
    assert int(ready.ssh("stat -c %s /srv/vigil/spool")) > spooled, "and keeps its spool"


def test_a_system_that_records_nothing_goes_back(machine: Machine) -> None:
    install(machine, "silent")
    restart(machine, "B")
    began_s = time.monotonic()
    machine.wait("A", machine.wait("B"))
    say(f"back in A: {time.monotonic() - began_s:.0f} s")
    settled(machine)
    assert result(machine)["good"] is False
    assert result(machine)["why"] == "0 cameras are recorded, 2 were before"
    assert status(machine) == {"A": "good", "B": "bad"}


def test_a_system_that_does_not_start_goes_back(machine: Machine) -> None:
    install(machine, "dead")
    began_s = time.monotonic()
    restart(machine, "A")
    say(f"three starts failed, then A: {time.monotonic() - began_s:.0f} s")
    settled(machine)
    assert result(machine)["good"] is False
    assert result(machine)["why"] == "the new system did not start"


@pytest.mark.parametrize("percent", [10, 70])
def test_a_cut_while_it_is_written(machine: Machine, percent: int) -> None:
    machine.ssh(f"nohup sh -c '{UPDATE} /mnt/good.raucb' >/dev/null 2>&1 &")
    sectors = percent * 16_384  # of a slot of 800 MiB
    machine.until(f"test $(awk '{{print $7}}' /sys/block/vda/vda3/stat) -gt {sectors}")
    machine.cut()
    say(f"cut at {percent} % of the slot")
    machine.power_on()
    machine.wait("A")
    settled(machine)
    assert result(machine)["why"] == "the installation was cut: install again"
    install(machine, "good")
    assert status(machine)["B"] == "good"


def test_cuts_after_the_installation_and_before_the_gate(ready: Machine) -> None:
    ready.cut()
    say("cut right after the installation")
    ready.power_on()
    ready.wait("B")
    assert ready.ssh("test -e /state/update/pending.json && echo tried") == "tried"
    ready.cut()
    say("cut before the gate decided")
    ready.power_on()
    ready.wait("B")
    settled(ready)
    assert result(ready)["good"] is True


def test_a_cut_while_it_is_marked_good(machine: Machine) -> None:
    loop = "while :; do rauc status mark-good booted; done"
    machine.ssh(f"nohup sh -c '{loop}' >/dev/null 2>&1 &")
    machine.until("rauc status")
    machine.cut()
    say("cut while it was marked good")
    machine.power_on()
    machine.wait("A")
    machine.until("systemctl is-active vigil-system-gate")
    assert status(machine)["A"] == "good"


def test_the_next_release_of_the_distribution(machine: Machine) -> None:
    """Debian 12 to 13, in place of Ubuntu 22.04 to 24.04."""
    machine.cut()
    machine.bundles = images.make_next(FOLDER)
    machine.power_on()
    machine.wait("A")
    machine.ssh("mount -r /dev/vdb /mnt")
    identity = machine.ssh(IDENTITY)
    spooled = int(machine.ssh("stat -c %s /srv/vigil/spool"))
    assert machine.ssh(". /etc/os-release; echo $VERSION_ID") == "12"
    install(machine, "next")
    restart(machine, "B")
    settled(machine)
    assert machine.ssh(". /etc/os-release; echo $VERSION_ID") == "13"
    assert result(machine)["good"] is True
    assert machine.ssh(IDENTITY) == identity
    assert int(machine.ssh("stat -c %s /srv/vigil/spool")) > spooled
    restart(machine, "B")
    settled(machine)
