"""Fragments that grow in their files: one open part file for each, until it is complete.

    append ── append ── append ── complete     the rest and the trailer, synced; then it is renamed
                               └─ discard      deleted

A part file belongs to the process that opened it. One that a crash left is deleted by recovery.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.identity import FragmentId

_BUFFERS_AT_ONCE = 512
"""The system takes 1,024 at most."""


class PartLostError(Exception):
    """What was written of a fragment is no longer there."""


@dataclass(slots=True)
class _OpenPart:
    path: Path
    handle: int
    size: int = 0


class PartFiles:
    """The open part files. They outlive a reopening of the spool on the same disk."""

    def __init__(self) -> None:
        self._open: dict[FragmentId, _OpenPart] = {}

    def __len__(self) -> int:
        return len(self._open)

    def owns(self, path: Path) -> bool:
        """Return whether a part file is open here: recovery leaves it alone."""
        return any(part.path == path for part in self._open.values())

    def size(self, one: FragmentId) -> int:
        """Return how many bytes of a fragment are in its part file."""
        part = self._open.get(one)
        return 0 if part is None else part.size

    def path(self, one: FragmentId) -> Path | None:
        """Return the path of a fragment's part file; None if it has none."""
        part = self._open.get(one)
        return None if part is None else part.path

    def append(
        self, one: FragmentId, path: Path, pieces: Sequence[bytes | bytearray], at: int
    ) -> None:
        """Append to a fragment's part file of `at` bytes. Where that fails, the file is unchanged.

        Raises OSError. Raises PartLostError where the file does not have these `at` bytes.
        """
        if not at:
            self.discard(one)
        part = self._open.get(one)
        if part is None:
            if at:
                raise PartLostError(f"{path} is gone")
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            part = self._open[one] = _OpenPart(path, handle)
        elif part.size != at:
            raise PartLostError(f"{path} has {part.size} bytes, not {at}")
        try:
            size = _write_all(part.handle, pieces, at)
        except OSError:
            self._truncate(one, at)
            raise
        part.size += size

    def complete(
        self,
        one: FragmentId,
        part: Path,
        final: Path,
        contents: tuple[Sequence[bytes | bytearray], bytes],
        step: Callable[[str], None],
    ) -> None:
        """Append the `contents` that are left, rest and trailer, sync, and rename to `final`.

        Raises OSError; the part file is as before. Raises PartLostError where the file has another
        size than was written.
        """
        rest, trailer = contents
        at = self.size(one)
        try:
            self.append(one, part, rest, at)
            step("written in part")
            self.append(one, part, [trailer], self._open[one].size)
            step("written")
            written = self._open[one]
            os.fsync(written.handle)
            size = os.fstat(written.handle).st_size
            if size != written.size:
                raise PartLostError(f"{part} has {size} bytes, not {written.size}")
            step("synced")
            part.rename(final)
        except OSError:
            self._truncate(one, at)
            raise
        self.release(one)
        step("renamed")

    def release(self, one: FragmentId) -> None:
        """Close a part file that was renamed."""
        part = self._open.pop(one, None)
        if part is not None:
            with contextlib.suppress(OSError):
                os.close(part.handle)

    def discard(self, one: FragmentId) -> None:
        """Close and delete a part file; there may be none."""
        part = self._open.get(one)
        self.release(one)
        if part is not None:
            with contextlib.suppress(OSError):
                part.path.unlink(missing_ok=True)

    def drop_lost(self) -> list[FragmentId]:
        """Close the part files to which their paths do not lead any more; return which."""
        lost = [one for one, part in self._open.items() if not _leads_to(part)]
        for one in lost:
            self.release(one)
        return lost

    def close(self) -> None:
        """Close all; the files stay for recovery."""
        for one in list(self._open):
            self.release(one)

    def _truncate(self, one: FragmentId, size: int) -> None:
        """Cut off what a failed write left. A full disk needs the space."""
        part = self._open.get(one)
        if part is None:
            return
        part.size = size
        with contextlib.suppress(OSError):
            if size:
                os.ftruncate(part.handle, size)
                return
        self.discard(one)


def _write_all(handle: int, pieces: Sequence[bytes | bytearray], at: int) -> int:
    """Write all pieces at an offset; return their bytes."""
    begin, left = at, [memoryview(piece) for piece in pieces if piece]
    while left:
        done = os.pwritev(handle, left[:_BUFFERS_AT_ONCE], at)
        at += done
        while left and done >= len(left[0]):
            done -= len(left.pop(0))
        if done:
            left[0] = left[0][done:]
    return at - begin


def _leads_to(part: _OpenPart) -> bool:
    try:
        return os.path.samestat(part.path.stat(), os.fstat(part.handle))
    except OSError:
        return False
