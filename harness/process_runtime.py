"""A recorder as a process in place of a container: what tests and benches of updates use.

An image is a JSON file, named by its SHA-256; a registry is a folder of them. The recorder's
process belongs to no one, as one of systemd: it survives its agent.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from domain.errors import IntegrityError, StoreError
from domain.fleet.messages import RecorderHealth
from edge_bridge.update.runtime import read_health

PROGRAM = Path(__file__).with_name("simulated_recorder.py")
_END_TRIES = 200


def make_image(registry: Path, version: str, fault: str = "", *, cameras: int = 2) -> str:
    """Put an image into a registry; return its digest. A fault `corrupt` damages it there."""
    data = json.dumps({"version": version, "fault": fault, "cameras": cameras}).encode()
    digest = hashlib.sha256(data).hexdigest()
    registry.mkdir(parents=True, exist_ok=True)
    (registry / f"{digest}.json").write_bytes(data + (b" " if fault == "corrupt" else b""))
    return f"sha256:{digest}"


def _detached(arguments: list[str]) -> "subprocess.Popen[bytes]":
    """Start a Python program that survives this one."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


class ProcessRuntime:
    """The recorder of one device. Its methods are those of RecorderRuntime."""

    def __init__(self, folder: Path, registry: Path) -> None:
        """`folder`: of this device, for its images, its recorder's process and footage."""
        self.folder = folder
        self._registry = registry
        self._configured = folder / "configured"
        self._pid = folder / "pid"
        self.child: subprocess.Popen[bytes] | None = None

    async def configured_image(self) -> str | None:
        """Return the digest that starts with the device."""
        try:
            return self._configured.read_text()
        except OSError:
            return None

    async def has_image(self, image: str) -> bool:
        """Return whether it was pulled."""
        return self._file(image).exists()

    async def pull(self, image: str) -> None:
        """Copy and verify it."""
        name = self._file(image).name
        try:
            data = (self._registry / name).read_bytes()
        except OSError as error:
            raise StoreError(f"the image cannot be pulled: {error.strerror}.") from error
        if "sha256:" + hashlib.sha256(data).hexdigest() != image:
            raise IntegrityError("the image is damaged: its bytes do not have its digest.")
        self._file(image).parent.mkdir(parents=True, exist_ok=True)
        part = self._file(image).with_suffix(".part")
        part.write_bytes(data)
        part.replace(self._file(image))

    async def switch(self, image: str) -> None:
        """Note the image as the configured one, then run it in place of what runs."""
        part = self._configured.with_suffix(".part")
        part.write_text(image)
        part.replace(self._configured)
        await self.start()

    async def start(self) -> None:
        """Run the configured image, as systemd does after a power cut."""
        await self.stop()
        image = await self.configured_image()
        if image is None:
            raise StoreError("no image is configured.")
        (self.folder / "port").unlink(missing_ok=True)
        command = ["-S", "-E", str(PROGRAM), str(self._file(image)), str(self.folder)]
        self.child = await asyncio.to_thread(_detached, command)
        for _ in range(_END_TRIES * 10):
            if self._pid.exists() or self.child.poll() is not None:
                return
            await asyncio.sleep(0.01)
        raise StoreError("the recorder's process does not start.")

    async def stop(self) -> None:
        """End the recorder's process."""
        pid, _ = self._process()
        self._pid.unlink(missing_ok=True)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        for _ in range(_END_TRIES):
            if not self._is_alive(pid):
                return
            await asyncio.sleep(0.01)
        raise StoreError(f"the recorder's process {pid} does not end.")

    async def running_image(self) -> str | None:
        """Return what runs."""
        pid, image = self._process()
        return image if pid is not None and self._is_alive(pid) else None

    async def health(self) -> RecorderHealth | None:
        """Ask the process."""
        try:
            port = int((self.folder / "port").read_text())
        except (OSError, ValueError):
            return None
        return await read_health(f"http://127.0.0.1:{port}/healthz")

    def recorded_image(self) -> str | None:
        """Return the image that wrote the newest footage."""
        try:
            lines = (self.folder / "footage").read_text().splitlines()
        except OSError:
            return None
        return f"sha256:{lines[-1].split()[1]}" if lines else None

    def _process(self) -> tuple[int | None, str | None]:
        try:
            pid, image = self._pid.read_text().split()
            return int(pid), image
        except (OSError, ValueError):
            return None, None

    def _is_alive(self, pid: int) -> bool:
        """Return whether it runs: a process that ended and was not waited for does not."""
        if self.child is not None and self.child.pid == pid:
            return self.child.poll() is None
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def _file(self, image: str) -> Path:
        return self.folder / "images" / f"{image.removeprefix('sha256:')}.json"
