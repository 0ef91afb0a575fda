"""A virtual machine as a device: UEFI with Secure Boot, a TPM, a disk with two slots.

Without KVM a start takes a minute. Killing QEMU is the cut of its power: what the machine had not
written is lost.
"""

import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

FIRMWARE = Path("/usr/share/OVMF")
CODE = FIRMWARE / "OVMF_CODE_4M.ms.fd"
START_S = 330
"""Emulated by software, next to others."""


@dataclass
class Machine:
    """One machine with a disk of its own; `cut` and `start` as often as wanted."""

    folder: Path
    key: Path
    bundles: Path | None = None
    """A disk that is only read, mounted at /mnt."""
    port: int = 0
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, disk: Path, key: Path, bundles: Path | None = None) -> "Machine":
        """Make a machine whose disk begins as a copy of `disk`."""
        folder.mkdir(parents=True)
        run = subprocess.run
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", disk, folder / "disk"],
            check=True)  # fmt: skip
        # Microsoft's keys are enrolled: only signed loaders start.
        run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", FIRMWARE / "OVMF_VARS_4M.ms.fd",
             folder / "vars"], check=True)  # fmt: skip
        (folder / "tpm").mkdir()
        return cls(folder, key, bundles)

    def copy(self, folder: Path) -> "Machine":
        """Return another machine in the state of this one, which is off."""
        assert not self._running
        subprocess.run(["cp", "-a", "--sparse=always", self.folder, folder], check=True)
        return Machine(folder, self.key, self.bundles)

    def power_on(self, snapshot: str = "") -> None:
        """Start it, or go on where a snapshot was taken; this waits for nothing."""
        socket_file = self.folder / "tpm.sock"
        socket_file.unlink(missing_ok=True)
        tpm = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}/tpm",
             "--ctrl", f"type=unixio,path={socket_file}"],
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while not socket_file.exists():
            assert time.monotonic() < deadline, "swtpm does not start"
            time.sleep(0.05)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        disks = ["-drive", f"file={self.folder}/disk,format=qcow2,if=virtio,cache=writeback"]
        if snapshot:
            disks += ["-loadvm", snapshot]
        if self.bundles:
            disks += ["-drive", f"file={self.bundles},format=raw,if=virtio,readonly=on"]
        flash = "if=pflash"
        forward = f"tcp:127.0.0.1:{self.port}-:22"
        with (self.folder / "console").open("ab") as console:
            machine = subprocess.Popen(
                ["qemu-system-x86_64", "-machine", "q35,smm=on", "-accel", "tcg,thread=multi",
                 "-device", "virtio-rng-pci", "-smp", "2", "-m", "1024", "-display", "none",
                 "-serial", "stdio",
                 "-global", "driver=cfi.pflash01,property=secure,value=on",
                 "-drive", f"{flash},format=raw,unit=0,readonly=on,file={CODE}",
                 "-drive", f"{flash},format=qcow2,unit=1,file={self.folder}/vars",
                 "-monitor", f"unix:{self.folder}/monitor,server=on,wait=off",
                 *disks,
                 "-nic", f"user,model=virtio-net-pci,restrict=on,hostfwd={forward}",
                 "-chardev", f"socket,id=tpm,path={socket_file}",
                 "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._running = [machine, tpm]

    def save(self, snapshot: str) -> None:
        """Keep the whole state, memory included, under a name."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(120)
            monitor.connect(str(self.folder / "monitor"))
            monitor.sendall(f"savevm {snapshot}\ninfo snapshots\n".encode())
            shown = b""
            while shown.count(b"(qemu)") < 3:
                shown += monitor.recv(4_096)
        assert b"VM SIZE" in shown, shown

    def cut(self) -> None:
        """Cut the power."""
        for process in self._running:
            process.send_signal(signal.SIGKILL)
            process.wait()
        self._running = []

    def ssh(self, command: str, *, check: bool = True, timeout_s: float = 240) -> str:
        """Run a command inside and return what it printed."""
        result = subprocess.run(
            ["ssh", "-q", "-i", self.key, "-p", str(self.port), "-o", "StrictHostKeyChecking=no",
             "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=20", "-o", "BatchMode=yes",
             "root@127.0.0.1", command],
            check=False, capture_output=True, text=True, timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if check and result.returncode:
            raise AssertionError(f"{command}: {result.stdout[-2000:]}{result.stderr[-2000:]}")
        return result.stdout.strip()

    def wait(self, slot: str | None = None, boot: str = "") -> str:
        """Wait until it can be reached in a start other than `boot`; return that start's id.

        `slot`: which slot has to run then.
        """
        deadline = time.monotonic() + START_S
        while True:
            try:
                line = self.ssh(
                    "cat /proc/sys/kernel/random/boot_id /proc/cmdline", check=False, timeout_s=30
                )
            except subprocess.TimeoutExpired:
                line = ""
            found = re.match(r"(\S+)\n.*rauc\.slot=([AB])", line)
            if found and found[1] != boot:
                if slot is not None:
                    assert found[2] == slot, f"slot {found[2]} runs: {self.console()[-3000:]}"
                return found[1]
            assert self._running[0].poll() is None, self.console()[-3000:]
            assert time.monotonic() < deadline, self.console()[-3000:]
            time.sleep(0.5)

    def until(self, command: str, timeout_s: float = START_S) -> None:
        """Wait until a command inside succeeds."""
        deadline = time.monotonic() + timeout_s
        while self.ssh(f"( {command} ) >/dev/null 2>&1 && echo yes", check=False) != "yes":
            assert time.monotonic() < deadline, f"{command}: {self.console()[-3000:]}"
            time.sleep(0.5)

    def console(self) -> str:
        """Return what it printed."""
        return (self.folder / "console").read_text(errors="replace")


@contextmanager
def powered(machine: Machine, snapshot: str = "") -> Iterator[Machine]:
    """Have it on inside the block."""
    machine.power_on(snapshot)
    try:
        yield machine
    finally:
        machine.cut()
