"""The state of the spool's disk: good, full, read-only, gone, swapped, failing or hanging.

The file `lock` stays open while the folder is in use. As long as the path leads to that same file,
it is the folder that was opened. Where it leads elsewhere, the disk was unmounted, removed or
swapped. Unmounted: only the bare mount point is seen, and nothing may be written there. Swapped:
`spool.id`, which is made once with each folder, is another.
"""

import errno
import logging
import os
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal

from domain.errors import ConfigError, StoreError
from domain.times import utc_ms

log = logging.getLogger(__name__)

DiskState = Literal["good", "full", "read-only", "gone", "swapped", "failing", "hanging"]
ID_FILE = "spool.id"
_REMEDIES = {
    "full": "free space on it, or lower spool.max_bytes",
    "read-only": "check the system's log and the file system, then mount it writable",
    "gone": "mount it again",
    "swapped": "the new disk is used; footage on the other disk waits until that is mounted again",
    "failing": "check the system's log and replace the disk",
    "hanging": "check the system's log and replace the disk",
}
_ERRNO_STATES: dict[int, DiskState] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read-only",
    errno.EACCES: "read-only",
    errno.EPERM: "read-only",
}
_SQLITE_STATES: dict[int, DiskState] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "read-only",
}


class DiskError(StoreError):
    """The spool's disk does not work now. What waits stays; the caller asks again later."""


class SpoolDisk:
    """One folder's disk. Any thread may read `state`; the rest is for the spool's thread."""

    def __init__(
        self, folder: Path, lock: IO[str], *, now_ms: Callable[[], int] | None = None
    ) -> None:
        self.folder = folder
        self._lock_path = str(folder / "lock")
        self._now_ms = now_ms or utc_ms
        self._guard = threading.Lock()
        self._state: DiskState = "good"
        self.detail = ""
        self.since_ms = self._now_ms()
        self.opened(lock)

    def opened(self, lock: IO[str]) -> None:
        """Record which folder is open: the one with this lock file."""
        stat = os.fstat(lock.fileno())
        self._lock_inode = (stat.st_dev, stat.st_ino)
        self.id = identity(self.folder)
        self._mount = mount_of(self.folder)

    @property
    def state(self) -> DiskState:
        """The state that was last found."""
        return self._state

    @property
    def remedy(self) -> str:
        """What the operator does about the state; empty where it is good."""
        return _REMEDIES.get(self._state, "")

    @property
    def accepts_rows(self) -> bool:
        """Whether the journal can be used. On a full disk it can, after an eviction."""
        return self._state in ("good", "full")

    @property
    def needs_reopen(self) -> bool:
        """Whether the folder must be opened again once the disk is back."""
        return self._state in ("gone", "swapped", "failing", "read-only")

    def set_state(self, state: DiskState, detail: str = "") -> None:
        """Change the state; each change is logged once."""
        with self._guard:
            if state == self._state:
                return
            before, self._state = self._state, state
            self.detail = detail
            self.since_ms = self._now_ms()
        if state == "good":
            log.warning("the spool's disk %s is good again (it was %s)", self.folder, before)
        else:
            suffix = f" ({detail})" if detail else ""
            log.error(
                "the spool's disk %s is %s%s: %s", self.folder, state, suffix, _REMEDIES[state]
            )

    def failed(self, error: Exception) -> DiskError:
        """Record an error of the disk; return the error to raise."""
        state = self.check()
        if state == "good":
            state = _state_of(error)
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        self.set_state(state, text)
        return DiskError(f"the spool's disk {self.folder} is {state}: {text}.")

    def check(self) -> DiskState:
        """Check, without writing, whether the path still leads to the folder that was opened."""
        try:
            stat = os.stat(self._lock_path)  # noqa: PTH116 - it is asked for each write
            if (stat.st_dev, stat.st_ino) == self._lock_inode:
                return "good"
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:
            return "failing"
        found = read_identity(self.folder)
        return "swapped" if found is not None and found != self.id else "gone"

    def may_open(self) -> bool:
        """Whether the folder may be made or opened again: never below a bare mount point."""
        return self._mount == Path("/") or os.path.ismount(self._mount)

    def probe(self) -> DiskState:
        """Health probe: write a little, sync it, delete it; return the state of the disk."""
        if (state := self.check()) != "good":
            return state
        path = self.folder / ".probe"
        try:
            with path.open("wb") as file:
                file.write(bytes(4_096))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
        except OSError as error:
            state = _state_of(error)
            try:
                path.unlink(missing_ok=True)
            except OSError:
                return state
            return state
        return "good"

    def free(self) -> tuple[int, int]:
        """Return free and total bytes; (0, 0) where the disk does not answer."""
        try:
            usage = shutil.disk_usage(self.folder)
        except OSError:
            return 0, 0
        return usage.free, usage.total


def identity(folder: Path) -> str:
    """Return the folder's id; make one where there is none. Raises OSError."""
    found = read_identity(folder)
    if found is not None:
        return found
    made = str(uuid.uuid4())
    part = folder / f"{ID_FILE}.part"
    with part.open("w") as file:
        file.write(made + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder / ID_FILE)
    return made


def read_identity(folder: Path) -> str | None:
    """Return the folder's id, or None where there is none."""
    try:
        return (folder / ID_FILE).read_text().strip()[:64] or None
    except (OSError, UnicodeDecodeError):
        return None


def mount_of(folder: Path) -> Path:
    """Return the mount point above a folder."""
    at = folder.resolve()
    while not os.path.ismount(at) and at != at.parent:
        at = at.parent
    return at


def check_own_disk(folder: Path) -> None:
    """Raise ConfigError where the folder is on the root disk: its own disk is not mounted."""
    at = folder.resolve()
    while not at.exists():
        at = at.parent
    if mount_of(at) == Path("/"):
        raise ConfigError(
            f"spool.dir {folder} lies on the root disk, but spool.own_disk is set: "
            "mount the spool's disk."
        )


def _state_of(error: Exception) -> DiskState:
    if isinstance(error, OSError):
        return _ERRNO_STATES.get(error.errno or 0, "failing")
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return _SQLITE_STATES.get(code, "failing")
    return "failing"
