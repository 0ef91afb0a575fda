"""One fragment, one file: its bytes, then what is known of it, then a footer.

    | transport stream | event as JSON | length of the JSON, 8 bytes | magic, 8 bytes |

A file is written under another name, forced to disk and renamed, so that a file with its right
name is whole; hash and event in it allow to rebuild the journal from the files alone.
"""

import contextlib
import errno
import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from domain.errors import MediaError
from domain.events import FragmentArrived
from domain.events.registry import encode
from domain.identity import FragmentId, parse_fragment_key

_MAGIC = b"VIGILFR1"
_FOOTER = struct.Struct(">Q8s")
_SUFFIX = ".frag"
_PART = ".part"
_MOST_JSON = 1 << 20


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of the spool as its name tells it."""

    path: Path
    id: FragmentId


class FragmentFiles:
    """The folder of all fragments; `step` is told what was just done (tests crash there)."""

    def __init__(self, root: Path, step: Callable[[str], None] = lambda _: None) -> None:
        self.root = root
        self._step = step
        self._synced: set[Path] = set()

    def path(self, camera: str, run: str, seq: int) -> Path:
        """Return where a fragment's file stands."""
        return self.root / camera / run / f"{seq:08d}{_SUFFIX}"

    def write(self, event: FragmentArrived, data: bytes) -> None:
        """Put a fragment on the disk, durably; raises OSError."""
        path = self.path(event.camera, event.run, event.seq)
        self._make_folder(path.parent)
        part = path.with_suffix(_PART)
        try:
            self._write(part, event, data)
        except OSError:
            with contextlib.suppress(OSError):  # a full disk needs the room
                part.unlink(missing_ok=True)
            raise
        self._step("synced")
        part.rename(path)
        self._step("renamed")
        _sync_folder(path.parent)
        self._step("folder synced")

    def _write(self, part: Path, event: FragmentArrived, data: bytes) -> None:
        text = encode(event)
        with part.open("wb") as file:
            file.write(data)
            self._step("written in part")
            file.write(text + _FOOTER.pack(len(text), _MAGIC))
            file.flush()
            self._step("written")
            os.fsync(file.fileno())

    def read(self, camera: str, run: str, seq: int, size: int) -> bytes:
        """Return a fragment's bytes; raises OSError where the file is gone."""
        with self.path(camera, run, seq).open("rb") as file:
            return file.read(size)

    def inspect(self, path: Path) -> FragmentArrived:
        """Return the event in a file whose bytes have the promised hash; MediaError otherwise."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise MediaError(f"{path} cannot be read: {error.strerror}") from error
        if len(data) < _FOOTER.size:
            raise MediaError(f"{path} is cut short")
        length, magic = _FOOTER.unpack(data[-_FOOTER.size :])
        end = len(data) - _FOOTER.size
        if magic != _MAGIC or length > min(end, _MOST_JSON):
            raise MediaError(f"{path} has no footer")
        try:
            event = FragmentArrived.model_validate_json(data[end - length : end])
        except ValidationError as error:
            raise MediaError(f"{path} holds no event") from error
        body = memoryview(data)[: end - length]
        if len(body) != event.size_bytes or hashlib.sha256(body).hexdigest() != event.sha256:
            raise MediaError(f"{path} does not have its promised bytes")
        return event

    def remove(self, camera: str, run: str, seq: int) -> None:
        """Delete a fragment's file, and its run's folder when that was the last; gone is fine."""
        path = self.path(camera, run, seq)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
            self._synced.discard(path.parent)

    def remove_parts(self) -> int:
        """Delete what a crash left half-written; return how many there were."""
        parts = list(self.root.glob(f"*/*/*/*/*{_PART}"))
        for part in parts:
            part.unlink(missing_ok=True)
        return len(parts)

    def list(self) -> Iterator[FoundFile]:
        """Yield all fragments' files; names that are none are skipped."""
        for path in self.root.glob(f"*/*/*/*/*{_SUFFIX}"):
            key = path.relative_to(self.root).with_suffix(".ts").as_posix()
            found = parse_fragment_key(f"fragments/{key}")
            if found is not None:
                yield FoundFile(path, found)

    def set_aside(self, path: Path) -> Path:
        """Rename a damaged file so that it is neither taken in nor lost; return its new name."""
        aside = path.with_suffix(".damaged")
        path.rename(aside)
        return aside

    def _make_folder(self, folder: Path) -> None:
        if folder in self._synced and folder.is_dir():
            return
        if not self.root.is_dir():  # a disk that is gone: nothing goes beneath its mount point
            raise FileNotFoundError(errno.ENOENT, "the spool's folder is gone", str(self.root))
        folder.mkdir(parents=True, exist_ok=True)
        at = folder
        while at != self.root.parent:
            _sync_folder(at)
            at = at.parent
        self._synced.add(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
