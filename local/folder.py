"""The folder of the local services: data, logs, process records, downloads."""

import fcntl
import json
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import IO, Any

from domain.errors import ConfigError, VigilError

MARKER = ".vigil-data"
CACHE = "cache"
FREE_BYTES_NEEDED = 2 * 1024**3
_ENDING_S = 10.0
"""How long a killed process may keep its lock: until the last of its threads has ended."""


def project_root() -> Path:
    """Return the folder that holds the packages: the repository, or site-packages."""
    return Path(__file__).resolve().parent.parent


def default_data_dir() -> Path:
    """Return `VIGIL_DATA_DIR`, else `.vigil` in the repository."""
    configured = os.environ.get("VIGIL_DATA_DIR")
    return Path(configured) if configured else project_root() / ".vigil"


def cache_dir() -> Path:
    """Return the folder of downloads, shared by all data folders: `VIGIL_CACHE_DIR` or ours."""
    configured = os.environ.get("VIGIL_CACHE_DIR")
    if configured:
        return Path(configured).resolve()
    root = project_root()
    if (root / "pyproject.toml").exists():
        return root / ".vigil" / CACHE
    return Path.home() / ".cache" / "vigil"


class DataFolder:
    """One stack's folder. `open` locks it for this process until `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: IO[str] | None = None

    @property
    def logs(self) -> Path:
        """Logs, one file per service."""
        return self.path / "log"

    @property
    def records(self) -> Path:
        """Process records, one file per service."""
        return self.path / "run"

    @property
    def env_file(self) -> Path:
        """The settings that other programs need to use this stack."""
        return self.path / "vigil.env"

    def open(self, *, fresh: bool = False) -> None:
        """Make the folder and take its lock.

        Raises ConfigError if the folder has other files. Raises VigilError if another process
        uses it, or the disk is nearly full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            others = [entry for entry in self.path.iterdir() if entry.name != CACHE]
            if others and not (self.path / MARKER).exists():
                raise ConfigError(
                    f"{self.path} contains files that are not Vigil's. Name another folder with "
                    "--data or VIGIL_DATA_DIR."
                )
            (self.path / MARKER).write_text("Data of Vigil's local services.\n")
            for folder in (self.logs, self.records):
                folder.mkdir(exist_ok=True)
            self._acquire()
            if fresh:
                self._wipe()
            self._check_space()
        except OSError as error:
            self.close()
            raise VigilError(f"Cannot use the folder {self.path}: {error.strerror}.") from error
        except VigilError:
            self.close()
            raise

    def close(self) -> None:
        """Release the folder's lock."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def secret(self) -> str:
        """Return the secret that signs session cookies; each folder has its own."""
        path = self.path / "session-secret"
        if not path.exists():
            with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(48))
        return path.read_text()

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON file's object, empty if the file is missing or incomplete."""
        try:
            value = json.loads((self.path / name).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return value if isinstance(value, dict) else {}

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Replace a JSON file atomically."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(value, indent=1) + "\n")
        partial.replace(path)

    def _acquire(self) -> None:
        # Not in run/: the lock outlives a wipe.
        lock = (self.path / ".lock").open("a+")
        until_s = time.monotonic() + _ENDING_S
        while not _locked(lock):
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            if _has_ended(owner) and time.monotonic() < until_s:
                time.sleep(0.05)
                continue
            lock.close()
            raise VigilError(
                f"{self.path} is in use by process {owner}. Stop it with "
                f"`vigil services stop --data {self.path}` or name another folder with --data."
            )
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _wipe(self) -> None:
        for entry in self.path.iterdir():
            if entry.name in (MARKER, CACHE, ".lock"):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        for folder in (self.logs, self.records):
            folder.mkdir(exist_ok=True)

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.path).free
        if free < FREE_BYTES_NEEDED:
            raise VigilError(
                f"The disk of {self.path} is nearly full: {free / 1024**3:.1f} GiB are free and "
                f"{FREE_BYTES_NEEDED // 1024**3} GiB are needed. Free some space, or name a "
                "folder on another disk with --data."
            )


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_ended(pid: str) -> bool:
    """Return whether a process has ended, or is a zombie."""
    if not pid.isdecimal():
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in ("Z", "X")
