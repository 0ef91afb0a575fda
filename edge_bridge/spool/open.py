"""Opens a spool's folder for this process: lock, files, journal, recovery."""

import contextlib
import fcntl
import logging
import math
import os
import shutil
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from domain.errors import ConfigError, StoreError
from edge_bridge.spool import journal_file
from edge_bridge.spool.files import FragmentFiles, sync_folder
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.part_files import PartFiles
from edge_bridge.spool.recovery import SpoolRecovery

log = logging.getLogger(__name__)

JOURNAL = "journal.db"
_DAMAGED = "journal.damaged-"
_RESERVE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class OpenedSpool:
    """The parts of an opened folder."""

    lock: IO[str]
    files: FragmentFiles
    journal: Journal
    recovery: SpoolRecovery


@dataclass(frozen=True, slots=True)
class SpoolOpener:
    """Opens one folder, at the start and whenever its disk was away."""

    folder: Path
    edge: str
    step: Callable[[str], None]
    now_ms: Callable[[], int]
    background_recovery: bool = False
    """Whether recovery runs alongside recording, not here."""
    parts: PartFiles = field(default_factory=PartFiles)
    """The files of the fragments that grow."""

    def open(
        self, live: Collection[str] = (), suspected: bool = False, damaged: str | None = None
    ) -> OpenedSpool:
        """Lock the folder, open the journal and recover, unless that runs in the background.

        `live` runs continue. `suspected`: the journal is checked whatever its size. `damaged`: how
        the journal is known to be damaged. Raises ConfigError where the folder cannot be used or
        another process uses it.
        """
        lock = _lock(self.folder)
        try:
            files = FragmentFiles(self.folder / "fragments", self.step, self.parts)
            files.root.mkdir(exist_ok=True)
            journal = self._new_journal(damaged) if damaged else self._journal(suspected)
            try:
                journal, recovery = self._recovered(files, journal, live)
                sync_folder(self.folder)  # the names of the journal and of the files' folder
            except BaseException:
                journal.close()
                raise
            self._reserve()
        except (OSError, sqlite3.OperationalError) as error:
            lock.close()
            text = error.strerror if isinstance(error, OSError) else str(error)
            raise ConfigError(
                f"spool.dir {self.folder} cannot be used: {text}. Check its disk."
            ) from error
        except BaseException:
            lock.close()
            raise
        return OpenedSpool(lock, files, journal, recovery)

    def _recovered(
        self, files: FragmentFiles, journal: Journal, live: Collection[str]
    ) -> tuple[Journal, SpoolRecovery]:
        """Recover, unless that runs in the background.

        Returns the journal: a new one, rebuilt from the files, where the old one is damaged.
        """
        recovery = SpoolRecovery(files, journal, self.edge, live)
        try:
            if not self.background_recovery:
                recovery.run_for(math.inf)
        except (sqlite3.Error, ValueError) as error:
            if not journal_file.is_damage(error):
                raise
            journal.close()
            journal = self._new_journal(f"{journal.path} is damaged ({error}).")
            recovery = SpoolRecovery(files, journal, self.edge, live)
            recovery.run_for(math.inf)
        return journal, recovery

    def _journal(self, suspected: bool) -> Journal:
        path = self.folder / JOURNAL
        try:
            return Journal(path, suspected)
        except sqlite3.OperationalError as error:
            reserve = self.folder / "reserve"
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL or not reserve.exists():
                raise
            log.error(
                "the spool's disk is full to the last byte; its reserve file is deleted to start"
            )
            reserve.unlink()
            return Journal(path, suspected)
        except StoreError as error:
            return self._new_journal(str(error))

    def _new_journal(self, why: str) -> Journal:
        """Quarantine the journal and return a new one; only one old journal is kept."""
        log.error("%s It is quarantined and rebuilt from the files.", why)
        for older in self.folder.glob(f"{_DAMAGED}*"):
            _remove(older)
        for suffix in ("", "-wal", "-shm"):
            found = self.folder / f"{JOURNAL}{suffix}"
            if found.exists():
                found.rename(self.folder / f"{_DAMAGED}{self.now_ms()}{suffix}")
        return Journal(self.folder / JOURNAL)

    def _reserve(self) -> None:
        """Keep a little space so that a start on a full disk can open the journal."""
        path = self.folder / "reserve"
        with contextlib.suppress(OSError):
            if not path.exists():
                try:
                    path.write_bytes(bytes(_RESERVE_BYTES))
                except OSError:
                    path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _lock(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+")
    except OSError as error:
        raise ConfigError(
            f"spool.dir {folder} cannot be used: {error.strerror}. Choose a writable folder."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigError(
            f"another process uses the spool {folder}: stop it, or choose another spool.dir."
        ) from error
    with contextlib.suppress(OSError):  # on a full disk the lock works without the number
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
    return lock
