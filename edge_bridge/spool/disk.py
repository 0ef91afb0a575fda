"""The spool's disk as it fares: good, full, read-only, gone, swapped, failing or hanging.

`lock` is open while the folder is held. As long as the path leads to that same file, the folder is
the one that was opened. Where it leads elsewhere, the disk was unmounted (the bare mount point is
seen, and nothing may be written there), taken away, or swapped for another (its `spool.id`, made
once with the folder, is another).
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
    "read-only": "look at the system's log, check its file system and mount it writable",
    "gone": "mount it again",
    "swapped": "it is taken into use; footage of the other one waits on it",
    "failing": "look at the system's log; replace it",
    "hanging": "look at the system's log; replace it",
}
_ERRORS: dict[int, DiskState] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read-only",
    errno.EACCES: "read-only",
    errno.EPERM: "read-only",
}
_SQLITE: dict[int, DiskState] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "read-only",
}


class DiskError(StoreError):
    """The spool's disk does not do what is asked; what waits is asked again later."""


class SpoolDisk:
    """One folder's disk. `state` may be read from any thread, the rest is the spool's thread's."""

    def __init__(
        self, folder: Path, lock: IO[str], *, now_ms: Callable[[], int] | None = None
    ) -> None:
        self.folder = folder
        self._now_ms = now_ms or utc_ms
        self._guard = threading.Lock()
        self._state: DiskState = "good"
        self.detail = ""
        self.since_ms = self._now_ms()
        self.opened(lock)

    def opened(self, lock: IO[str]) -> None:
        """Note that the folder whose lock this is was opened."""
        at = os.fstat(lock.fileno())
        self._held = (at.st_dev, at.st_ino)
        self.id = identity(self.folder)
        self._mount = mount_of(self.folder)

    @property
    def state(self) -> DiskState:
        """How it fares."""
        return self._state

    @property
    def accepts_rows(self) -> bool:
        """Whether the journal may be asked; a full disk's may, for room is made."""
        return self._state in ("good", "full")

    @property
    def remedy(self) -> str:
        """What the operator does about the state; empty where it is good."""
        return _REMEDIES.get(self._state, "")

    @property
    def needs_reopen(self) -> bool:
        """Whether the folder must be opened anew once it is there."""
        return self._state in ("gone", "swapped", "failing", "read-only")

    def set_state(self, state: DiskState, detail: str = "") -> None:
        """Change the state; logged once for each change."""
        with self._guard:
            if state == self._state:
                return
            before, self._state, self.detail = self._state, state, detail
            self.since_ms = self._now_ms()
        if state == "good":
            log.warning("the spool's disk %s is good again (it was %s)", self.folder, before)
        else:
            words = f" ({detail})" if detail else ""
            log.error(
                "the spool's disk %s is %s%s: %s", self.folder, state, words, _REMEDIES[state]
            )

    def failed(self, error: Exception) -> DiskError:
        """Note that it refused; return the error to raise."""
        state = self.check()
        if state == "good":
            state = _cause(error)
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        self.set_state(state, said)
        return DiskError(f"the spool's disk {self.folder} is {state}: {said}.")

    def check(self) -> DiskState:
        """Return whether the path still leads to the folder that is held, without writing."""
        try:
            at = (self.folder / "lock").stat()
            if (at.st_dev, at.st_ino) == self._held:
                return "good"
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:
            return "failing"
        found = read_identity(self.folder)
        return "swapped" if found is not None and found != self.id else "gone"

    def may_open(self) -> bool:
        """Whether the folder may be made or opened anew: never beneath a bare mount point."""
        return self._mount == Path("/") or os.path.ismount(self._mount)

    def probe(self) -> DiskState:
        """Write a little, force it to disk and delete it; return how the disk fares."""
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
            with_state = _cause(error)
            try:
                path.unlink(missing_ok=True)
            except OSError:
                return with_state
            return with_state
        return "good"

    def free(self) -> tuple[int, int]:
        """Return free and total bytes; (0, 0) where nobody can tell."""
        try:
            usage = shutil.disk_usage(self.folder)
        except OSError:
            return 0, 0
        return usage.free, usage.total


def identity(folder: Path) -> str:
    """Return the folder's id, made where there is none yet; raises OSError."""
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
    """Return the mount point that a folder lies beneath."""
    at = folder.resolve()
    while not os.path.ismount(at) and at != at.parent:
        at = at.parent
    return at


def check_own_disk(folder: Path) -> None:
    """Raise ConfigError where the folder lies on the root disk: its own is not mounted."""
    at = folder.resolve()
    while not at.exists():
        at = at.parent
    if mount_of(at) == Path("/"):
        raise ConfigError(
            f"spool.dir {folder} lies on the root disk, and spool.own_disk asks for another: "
            "mount the spool's disk."
        )


def _cause(error: Exception) -> DiskState:
    if isinstance(error, OSError):
        return _ERRORS.get(error.errno or 0, "failing")
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return _SQLITE.get(code, "failing")
    return "failing"
