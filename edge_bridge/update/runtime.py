"""How the agent pulls images and restarts the recorder: Docker (or Podman) and systemd.

Compose reads the image from an environment file. The agent replaces that file, then restarts the
unit. So what runs after a power cut is what the file says.
"""

import asyncio
import json
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from domain.errors import IntegrityError, StoreError
from domain.fleet.messages import RecorderHealth

VARIABLE = "VIGIL_EDGE_IMAGE"
PULL_TIMEOUT_S = 6 * 3_600.0
"""An image of 200 MB over a line of 100 kbit/s takes 4.5 h. Docker keeps finished layers."""
RESTART_TIMEOUT_S = 120.0
_QUICK_S = 30.0
_MAX_OUTPUT = 500
_MAX_HEALTH_BYTES = 4 << 20


class RecorderRuntime(Protocol):
    """What the agent needs of the device."""

    async def configured_image(self) -> str | None:
        """Return the digest that starts with the device; None: not known."""
        ...

    async def has_image(self, image: str) -> bool:
        """Return whether an image is on the device. StoreError."""
        ...

    async def pull(self, image: str) -> None:
        """Fetch an image by its digest. StoreError: try again; IntegrityError: it is damaged."""
        ...

    async def switch(self, image: str) -> None:
        """Let the recorder run this image, now and at each start. Twice is as once. StoreError."""
        ...

    async def running_image(self) -> str | None:
        """Return the digest that runs; None: none does."""
        ...

    async def health(self) -> RecorderHealth | None:
        """Return what the recorder says of itself; None: it does not answer."""
        ...


class ContainerRuntime:
    """The recorder as a container of Docker Compose, below a unit of systemd."""

    def __init__(
        self,
        repository: str,
        env_file: Path,
        health_url: str,
        *,
        unit: str = "vigil-edge.service",
        container: str = "vigil-edge-edge-1",
        engine: str = "docker",
        service_manager: Sequence[str] = ("systemctl",),
    ) -> None:
        """`repository`: without tag and digest. `env_file`: read by Compose."""
        self._repository = repository
        self._env_file = env_file
        self._health_url = health_url
        self._unit = unit
        self._container = container
        self._engine = engine
        self._service_manager = tuple(service_manager)

    async def configured_image(self) -> str | None:
        """Return the digest in the environment file."""
        try:
            lines = (await asyncio.to_thread(self._env_file.read_text)).splitlines()
        except (OSError, UnicodeDecodeError):
            return None
        for line in lines:
            name, _, value = line.partition("=")
            if name.strip() == VARIABLE and "@sha256:" in value:
                return value.strip().rpartition("@")[2]
        return None

    async def has_image(self, image: str) -> bool:
        """Ask the engine."""
        code, _ = await self._run(_QUICK_S, self._engine, "image", "inspect", self._name(image))
        return code == 0

    async def pull(self, image: str) -> None:
        """Pull by digest: the engine checks the manifest and each layer against it."""
        code, output = await self._run(PULL_TIMEOUT_S, self._engine, "pull", self._name(image))
        if code == 0:
            return
        if "digest" in output and ("verif" in output or "mismatch" in output):
            raise IntegrityError(f"the image is damaged in the registry: {output}")
        raise StoreError(f"the image cannot be pulled: {output}")

    async def switch(self, image: str) -> None:
        """Replace the line in the environment file, then restart the unit."""
        await asyncio.to_thread(self._write_env, image)
        code, output = await self._run(
            RESTART_TIMEOUT_S, *self._service_manager, "restart", self._unit
        )
        if code != 0:
            raise StoreError(f"{self._unit} cannot be restarted: {output}")

    def _write_env(self, image: str) -> None:
        try:
            old = self._env_file.read_text().splitlines()
        except OSError:
            old = []
        kept = [line for line in old if line.partition("=")[0].strip() != VARIABLE]
        part = self._env_file.with_suffix(".part")
        try:
            with part.open("w") as file:
                file.write("\n".join([*kept, f"{VARIABLE}={self._name(image)}", ""]))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._env_file)
        except OSError as error:
            raise StoreError(f"{self._env_file} cannot be written: {error.strerror}.") from error

    async def running_image(self) -> str | None:
        """Return the digest of the running container's image."""
        code, output = await self._run(
            _QUICK_S, self._engine, "inspect", "--format",
            "{{if .State.Running}}{{.Config.Image}}{{end}}", self._container,
        )  # fmt: skip
        return output.rpartition("@")[2] if code == 0 and "@" in output else None

    async def health(self) -> RecorderHealth | None:
        """Ask the recorder's own port."""
        return await read_health(self._health_url)

    def _name(self, image: str) -> str:
        return f"{self._repository}@{image}"

    async def _run(self, timeout_s: float, *command: str) -> tuple[int, str]:
        """Run a program; return its exit status and the end of what it printed. StoreError."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as error:
            raise StoreError(f"{command[0]} cannot be started: {error.strerror}.") from error
        try:
            async with asyncio.timeout(timeout_s):
                output, _ = await process.communicate()
        except TimeoutError:
            raise StoreError(f"{command[0]} did not end within {timeout_s:.0f} s.") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, output.decode(errors="replace").strip()[-_MAX_OUTPUT:]


async def read_health(url: str) -> RecorderHealth | None:
    """Return the health of the recorder at an address; None: it does not answer as one."""
    tls: ssl.SSLContext | bool = True
    if url.startswith("https:"):
        tls = ssl.create_default_context()
        tls.check_hostname = False  # its certificate is for the name that people use
        tls.verify_mode = ssl.CERT_NONE
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=4)) as session,
            session.get(url, ssl=tls, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(_MAX_HEALTH_BYTES)
            return parse_health(json.loads(body))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError):
        return None


def parse_health(report: Any) -> RecorderHealth | None:
    """Return the health in a body of GET /healthz; None: it is not one."""
    try:
        states = [camera["state"] for camera in report["cameras"]]
        links = report.get("links", {}).values()
        disk = report.get("disk", {}).get("state", "good")
        return RecorderHealth(
            cameras=len(states),
            # What is not written to the spool is not recorded.
            recording=states.count("recording") if disk == "good" else 0,
            spool_waiting=report.get("spool", {}).get("waiting", 0),
            uploads=all(link["down_since_s"] is None for link in links),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
