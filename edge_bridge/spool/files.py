"""One fragment, one file: its bytes, then its event, then a footer.

    | transport stream | event as JSON | length of the JSON, 8 bytes | magic, 8 bytes |

A file is written under another name, in pieces or at once (part_files.py), synced to disk and
renamed: a file with its final name is complete. From the hash and the event in it, the journal can
be rebuilt from the files alone.
"""

import contextlib
import errno
import hashlib
import logging
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from domain.errors import MediaError
from domain.events import FragmentArrived
from domain.events.registry import encode
from domain.identity import FragmentId
from edge_bridge.spool.part_files import PartFiles, PartLostError
from edge_bridge.spool.rows import SpooledFragment

log = logging.getLogger(__name__)

_MAGIC = b"VIGILFR1"
_FOOTER = struct.Struct(">Q8s")
_SUFFIX = ".frag"
_PART = ".part"
_QUARANTINED = ("damaged", "refused")
"""Suffixes of quarantined files."""
_DIGITS = 8
_MAX_JSON_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FragmentFile:
    """A file of the spool, by its name."""

    path: Path
    id: FragmentId


class FragmentFiles:
    """The folder of all fragments; `step` is called after each step (tests crash there)."""

    def __init__(
        self,
        root: Path,
        step: Callable[[str], None] = lambda _: None,
        parts: PartFiles | None = None,
    ) -> None:
        """`parts`: part files that are open already."""
        self.root = root
        self._step = step
        self._parts = PartFiles() if parts is None else parts
        self._synced: set[Path] = set()
        self.quarantined: list[Path] = []
        """Quarantined files; they are deleted first where space is needed."""

    def path(self, camera: str, run: str, seq: int) -> Path:
        """Return the path of a fragment's file."""
        return self.root / camera / run / f"{seq:0{_DIGITS}d}{_SUFFIX}"

    def append(self, one: FragmentId, pieces: Sequence[bytes | bytearray], at: int) -> None:
        """Append to a fragment that grows, after its first `at` bytes. Nothing is synced.

        Raises OSError; the file is as before. Raises PartLostError where these bytes are not there.
        """
        part = self._parts.path(one) if at else None
        if part is None:
            path = self.path(one.camera, one.run, one.seq)
            self._make_folder(path.parent)
            part = path.with_suffix(_PART)
        self._parts.append(one, part, pieces, at)
        self._step("piece written")

    def write(self, event: FragmentArrived, data: bytes | bytearray) -> None:
        """Write a fragment, or what is left of one that grew, to the disk, durably.

        Raises OSError; what grew is as before. Raises PartLostError where that is not whole.
        """
        self.sync_folders([self.complete(event, [data])])

    def complete(self, event: FragmentArrived, rest: Sequence[bytes | bytearray]) -> Path:
        """Do what `write` does, but leave its folder to `sync_folders`; return the folder."""
        one = FragmentId(event.camera, event.run, event.seq)
        path = self.path(event.camera, event.run, event.seq)
        self._make_folder(path.parent)
        size = self._parts.size(one) + sum(map(len, rest))
        if size != event.size_bytes:
            raise PartLostError(f"{path} has {size} bytes, not {event.size_bytes}")
        contents = rest, trailer_of(event)
        self._parts.complete(one, path.with_suffix(_PART), path, contents, self._step)
        return path.parent

    def sync_folders(self, folders: Iterable[Path]) -> None:
        """Make the names in folders durable: each is synced once."""
        for folder in dict.fromkeys(folders):
            sync_folder(folder)
        self._step("folder synced")

    def discard(self, one: FragmentId) -> None:
        """Delete the part file of a fragment that will not be completed; there may be none."""
        self._parts.discard(one)

    def read(self, camera: str, run: str, seq: int, size: int) -> bytes:
        """Return a fragment's bytes; raises OSError where the file is gone."""
        with self.path(camera, run, seq).open("rb") as file:
            return file.read(size)

    def event_in(self, row: SpooledFragment) -> FragmentArrived:
        """Return the event in a row; where that is damaged, the event in the file.

        Raises MediaError where both are damaged.
        """
        with contextlib.suppress(ValueError):
            return FragmentArrived.model_validate_json(row.event)
        return self.inspect(self.path(row.camera, row.run, row.seq))

    def inspect(self, path: Path) -> FragmentArrived:
        """Return the event in a file, checked against size and hash; raises MediaError."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise MediaError(f"{path} cannot be read: {error.strerror}") from error
        if len(data) < _FOOTER.size:
            raise MediaError(f"{path} is truncated")
        length, magic = _FOOTER.unpack(data[-_FOOTER.size :])
        end = len(data) - _FOOTER.size
        if magic != _MAGIC or length > min(end, _MAX_JSON_BYTES):
            raise MediaError(f"{path} has no footer")
        try:
            event = FragmentArrived.model_validate_json(data[end - length : end])
        except ValidationError as error:
            raise MediaError(f"{path} contains no event") from error
        body = memoryview(data)[: end - length]
        if len(body) != event.size_bytes or hashlib.sha256(body).hexdigest() != event.sha256:
            raise MediaError(f"{path} does not match its size or hash")
        return event

    def remove(self, camera: str, run: str, seq: int) -> None:
        """Delete a fragment's file, and its run's folder after the last; it may be gone already."""
        path = self.path(camera, run, seq)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
            self._synced.discard(path.parent)

    def cameras(self) -> Sequence[str]:
        """Return tenant/site/camera of each camera's folder, in order."""
        return sorted(
            f"{tenant.name}/{site.name}/{camera.name}"
            for tenant in _folders(self.root)
            for site in _folders(tenant)
            for camera in _folders(site)
        )

    def runs_of(self, camera: str) -> Sequence[str]:
        """Return the names of a camera's runs' folders, in order."""
        return sorted(run.name for run in _folders(self.root / camera))

    def has_run(self, camera: str, run: str) -> bool:
        """Return whether a run has a folder."""
        return (self.root / camera / run).is_dir()

    def seqs(self, camera: str, run: str) -> Iterator[int]:
        """Yield the seqs of a run's files; delete a half-written file that a crash left."""
        with os.scandir(self.root / camera / run) as entries:
            for entry in entries:
                suffix = entry.name.partition(".")[2]
                if (seq := _seq_of(entry.name)) is not None:
                    yield seq
                elif suffix == _PART[1:]:
                    if self._parts.owns(Path(entry.path)):
                        continue  # it grows
                    log.info("a half-written fragment is deleted: %s", entry.path)
                    Path(entry.path).unlink(missing_ok=True)
                elif suffix in _QUARANTINED:
                    self.quarantined.append(Path(entry.path))

    def all_files(self) -> Iterator[FragmentFile]:
        """Yield the files of all fragments; changes nothing."""
        for camera in self.cameras():
            for run in self.runs_of(camera):
                names = sorted(path.name for path in (self.root / camera / run).iterdir())
                for seq in (found for name in names if (found := _seq_of(name)) is not None):
                    yield FragmentFile(self.path(camera, run, seq), FragmentId(camera, run, seq))

    def quarantine(self, path: Path, why: Literal["damaged", "refused"] = "damaged") -> Path:
        """Rename a file so that recovery ignores it; return its new name."""
        quarantined = path.with_suffix(f".{why}")
        path.rename(quarantined)
        self.quarantined.append(quarantined)
        return quarantined

    def drop_quarantined(self) -> Path | None:
        """Delete one quarantined file; return which, None where there is none."""
        if not self.quarantined:
            return None
        path = self.quarantined.pop(0)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        return path

    def _make_folder(self, folder: Path) -> None:
        if folder in self._synced and folder.is_dir():
            return
        if not self.root.is_dir():  # the disk is gone: write nothing below its mount point
            raise FileNotFoundError(errno.ENOENT, "the spool's folder is gone", str(self.root))
        folder.mkdir(parents=True, exist_ok=True)
        at = folder
        while at != self.root.parent:
            sync_folder(at)
            at = at.parent
        self._synced.add(folder)


def _seq_of(name: str) -> int | None:
    """Return the seq in a file's name; None where it is not a fragment's name."""
    stem, _, suffix = name.partition(".")
    is_fragment = suffix == _SUFFIX[1:] and len(stem) == _DIGITS and stem.isdecimal()
    return int(stem) if is_fragment else None


def trailer_of(event: FragmentArrived) -> bytes:
    """Return what follows a fragment's bytes in its file: event (version 1) and footer."""
    text = encode(event.with_previous(None))
    return text + _FOOTER.pack(len(text), _MAGIC)


def _folders(parent: Path) -> list[Path]:
    with os.scandir(parent) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
