"""An update that is not whole yet, on the disk: its bytes, and what is known about them.

SHA256.part   the bytes so far
SHA256.json   ETag of the object, and how many bytes are surely on the disk
SHA256        the whole file, verified

After a power cut the end of a file may hold zeros. So a download goes on after the bytes that were
surely written, which are at most CHECKPOINT_BYTES less.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from domain.errors import StoreError

CHECKPOINT_BYTES = 16 << 20
_BLOCK_BYTES = 1 << 20
_MAX_NOTE_BYTES = 4_096
_MAX_ETAG = 1_024


class PartFile:
    """One unfinished file. Its methods block: call them in a thread. OSError where the disk fails.

    One download has it at a time.
    """

    def __init__(self, folder: Path, sha256: str) -> None:
        self.whole = folder / sha256
        self._part = folder / f"{sha256}.part"
        self._note = folder / f"{sha256}.json"
        self._folder = folder
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._safe = 0
        self.size = 0
        """Bytes so far."""
        self.etag: str | None = None

    def open(self) -> None:
        """Open what an earlier download left, or an empty file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        safe, self.etag = self._read_note()
        handle = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._file = os.fdopen(handle, "r+b")
        self._hash = hashlib.sha256()
        self.size = 0
        while self.size < safe:
            block = self._file.read(min(_BLOCK_BYTES, safe - self.size))
            if not block:
                break
            self._hash.update(block)
            self.size += len(block)
        self._safe = self.size
        self._file.truncate(self.size)
        self._file.seek(self.size)

    def close(self) -> None:
        """Make sure of what is there, and close the file. It may be called twice."""
        if self._file is not None:
            try:
                self.checkpoint()
            finally:
                self._file.close()
                self._file = None

    def restart(self, etag: str | None) -> None:
        """Begin again with another object: its first byte comes next."""
        assert self._file is not None
        self._note.unlink(missing_ok=True)
        self._file.seek(0)
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.size = self._safe = 0
        self.etag = etag

    def append(self, data: bytes) -> None:
        """Write the next bytes."""
        assert self._file is not None
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)
        if self.size - self._safe >= CHECKPOINT_BYTES:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write to the disk all that came so far."""
        assert self._file is not None
        self._file.flush()
        if self._safe == self.size and self._note.exists():
            return
        os.fsync(self._file.fileno())
        self._safe = self.size
        self._write(json.dumps({"etag": self.etag, "bytes": self._safe}))

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes so far, in hex."""
        return self._hash.hexdigest()

    def finish(self) -> Path:
        """Give the file its last name. What is there under that name is verified."""
        self.close()
        self._part.rename(self.whole)
        self._note.unlink(missing_ok=True)
        self._sync_folder()
        return self.whole

    def missing_bytes(self, size: int, reserve_bytes: int) -> int:
        """Return how many bytes the disk lacks for a file of `size`, 0: none."""
        needed = size - self.size + reserve_bytes
        return max(0, needed - shutil.disk_usage(self._folder).free)

    def find_whole(self, size: int) -> bool:
        """Return whether the verified file is there already; a damaged one is removed."""
        try:
            with self.whole.open("rb") as file:
                if os.fstat(file.fileno()).st_size == size:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                    if digest == self.whole.name:
                        return True
        except FileNotFoundError:
            return False
        self.whole.unlink()
        return False

    def _read_note(self) -> tuple[int, str | None]:
        try:
            with self._note.open("rb") as file:
                fields = json.loads(file.read(_MAX_NOTE_BYTES))
            safe, etag = int(fields["bytes"]), fields["etag"]
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return 0, None
        return max(0, safe), etag if isinstance(etag, str) and len(etag) <= _MAX_ETAG else None

    def _write(self, note: str) -> None:
        new = self._note.with_suffix(".new")
        with new.open("w") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._note)
        self._sync_folder()

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def prune(folder: Path, keep: set[str]) -> None:
    """Remove files of other updates from a folder of downloads. `keep`: SHA-256 in hex."""
    try:
        names = [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror}.") from error
    for path in names:
        if path.name.split(".", 1)[0] not in keep:
            path.unlink(missing_ok=True)
