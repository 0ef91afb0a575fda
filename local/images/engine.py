"""The programs that build, keep and run images: buildah and podman, or Docker."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CONTAINERS_CONF = Path(__file__).with_name("containers.conf")


def cache_folder() -> Path:
    """Return the folder of what is made once for this machine."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vigil" / "images"


@dataclass(frozen=True)
class Engine:
    """Where images are. `storage` None: the engine's own place."""

    builder: str
    storage: Path | None

    @property
    def options(self) -> list[str]:
        """Options of buildah and podman that name the storage."""
        if self.storage is None:
            return []
        return [
            "--root", str(self.storage / "root"), "--runroot", str(self.storage / "run"),
            "--storage-driver", "overlay",
        ]  # fmt: skip

    def buildah(self, *arguments: str, check: bool = True) -> str:
        """Run buildah and return what it prints."""
        return _output(["buildah", *self.options, *arguments], check=check)

    def podman(self, *arguments: str, check: bool = True) -> str:
        """Run podman and return what it prints."""
        return _output(self.podman_command(*arguments), check=check, env=self.environment)

    def podman_command(self, *arguments: str) -> list[str]:
        """Return the command line of podman, for `environment`."""
        # Its errors are printed all the same. What it logs without systemd is of no use.
        return ["podman", "--log-level", "fatal", *self.options, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Environment of podman: containers here need runc and no systemd."""
        if self.storage is None:
            return dict(os.environ)
        return {**os.environ, "CONTAINERS_CONF": str(_CONTAINERS_CONF)}

    def has(self, image: str) -> bool:
        """Whether an image exists."""
        if self.builder == "docker":
            command = ["docker", "image", "inspect", image]
        else:
            command = ["buildah", *self.options, "inspect", "--type", "image", image]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def find_engine(bases: str) -> Engine:
    """Return the engine of this machine. With Debian's bases, images have a place of their own.

    VIGIL_BUILDER names the builder; VIGIL_IMAGE_STORE the folder of images.
    """
    builder = os.environ.get("VIGIL_BUILDER", "")
    if not builder:
        builder = next((each for each in ("buildah", "docker") if shutil.which(each)), "")
    if builder not in ("buildah", "docker") or shutil.which(builder) is None:
        raise SystemExit(
            "images: neither buildah nor docker is on this machine. Install one of them (Debian: "
            "apt-get install buildah podman runc)."
        )
    if bases == "debian" and builder != "buildah":
        raise SystemExit("images: BASES=debian needs buildah. Install buildah and mmdebstrap.")
    store = os.environ.get("VIGIL_IMAGE_STORE", "")
    if not store and bases == "debian":
        store = str(cache_folder() / "storage")
    return Engine(builder, Path(store) if store else None)


def _output(command: Sequence[str], *, check: bool, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if check and done.returncode != 0:
        raise SystemExit(f"images: {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
