"""One container of an image, hardened as production runs it."""

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import VigilError
from local.images.engine import Engine

_POLL_S = 0.2


@dataclass(frozen=True)
class Ended:
    """A container that ended: exit code and all that it printed."""

    code: int
    output: str


@dataclass(frozen=True)
class Hardening:
    """What a container may have: a read-only root, no capabilities, limits."""

    memory: str = "1g"
    pids: int = 256
    scratch: str = "256m"

    def options(self) -> list[str]:
        """Return the options of podman."""
        return [
            "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges",
            "--memory", self.memory, "--pids-limit", str(self.pids),
            "--tmpfs", f"/tmp:rw,nosuid,nodev,size={self.scratch}",  # noqa: S108
        ]  # fmt: skip


HARDENED = Hardening()


@dataclass
class Container:
    """Started by `start`. Its methods block: with an event loop, call them from a thread.

    `mounts`: by path in the container, folders or files of this machine that it may read.
    `volumes`: likewise, folders that it may write; they are given to its user.
    """

    engine: Engine
    name: str
    image: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, Path] = field(default_factory=dict)
    volumes: Mapping[str, Path] = field(default_factory=dict)
    network: str = "host"
    hardening: Hardening = HARDENED
    options: Sequence[str] = ()

    def start(self) -> None:
        """Start it in the background; one of the same name is replaced."""
        self._podman("run", "--detach", "--replace", *self._arguments())

    def run(self, within_s: float = 60) -> Ended:
        """Run it to its end. Raises VigilError where it takes longer."""
        command = self.engine.podman_command("run", "--rm", "--replace", *self._arguments())
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=within_s, check=False, env=self.engine.environment,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            self.remove()
            printed = error.output or b""
            raise VigilError(
                f"{self.name} did not end in {within_s} s: {printed.decode(errors='replace')}"
            ) from None
        return Ended(done.returncode, done.stdout)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._state("{{.State.Running}}") == "true"

    def stop(self, within_s: int = 60) -> Ended:
        """SIGTERM, and SIGKILL after `within_s`; return its end."""
        self._podman("stop", "--time", str(within_s), self.name)
        return self.ended()

    def kill(self) -> None:
        """SIGKILL."""
        with contextlib.suppress(VigilError):
            self._podman("kill", self.name)

    def ended(self) -> Ended:
        """Return how it ended."""
        return Ended(int(self._state("{{.State.ExitCode}}") or -1), self.output())

    def wait_end(self, within_s: float) -> Ended:
        """Wait until it ended by itself. Raises VigilError where it takes longer."""
        deadline = time.monotonic() + within_s
        while self.running:
            if time.monotonic() > deadline:
                raise VigilError(f"{self.name} did not end in {within_s} s:\n{self.output()}")
            time.sleep(_POLL_S)
        return self.ended()

    def health(self) -> int:
        """Run the image's HEALTHCHECK once; return its exit code."""
        command = self.engine.podman_command("healthcheck", "run", self.name)
        return subprocess.run(
            command, capture_output=True, check=False, env=self.engine.environment
        ).returncode

    def execute(self, *command: str) -> Ended:
        """Run a command in it."""
        done = subprocess.run(
            self.engine.podman_command("exec", self.name, *command),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            env=self.engine.environment,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout)

    def output(self, lines: int = 40) -> str:
        """Return the last lines that it printed."""
        done = subprocess.run(
            self.engine.podman_command("logs", "--tail", str(lines), self.name),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            env=self.engine.environment,
        )  # fmt: skip
        return done.stdout

    def remove(self) -> None:
        """Kill and remove it."""
        with contextlib.suppress(VigilError):
            self._podman("rm", "--force", "--time", "0", self.name)

    def _arguments(self) -> list[str]:
        mounts = [f"{path}:{inside}:ro" for inside, path in self.mounts.items()]
        for inside, folder in self.volumes.items():
            folder.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(folder, USER, USER)
            mounts.append(f"{folder}:{inside}:rw")
        return [
            "--name", self.name, "--network", self.network, *self.hardening.options(),
            *(part for mount in mounts for part in ("--volume", mount)),
            *(part for name, value in self.env.items() for part in ("--env", f"{name}={value}")),
            *self.options, self.image, *self.command,
        ]  # fmt: skip

    def _state(self, form: str) -> str:
        with contextlib.suppress(VigilError):
            return self._podman("inspect", "--format", form, self.name).strip()
        return ""

    def _podman(self, *arguments: str) -> str:
        done = subprocess.run(
            self.engine.podman_command(*arguments), capture_output=True, text=True, check=False,
            env=self.engine.environment,
        )  # fmt: skip
        if done.returncode:
            raise VigilError(f"podman {arguments[0]} {self.name}: {done.stderr.strip()}")
        return done.stdout


USER = 10001
"""User of all images."""


def give_to_user(folder: Path) -> None:
    """Give a folder, and all in it, to the images' user alone."""
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{USER}:{USER}", str(folder)], check=True)
