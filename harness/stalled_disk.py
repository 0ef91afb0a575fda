"""A disk that hangs on demand: an ext4 in an image file, whose writes are frozen by the kernel.

image file ── loop device ── ext4 ── folder       stall: no write and no sync returns
                                                  answer: all of them go on
"""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from domain.errors import VigilError


class StalledDisk:
    """A mounted disk; use `stalled_disk` to make one. `stall` and `answer` may be repeated."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stalled = False

    def stall(self) -> None:
        """Let every write hang from now on. What was written so far is on the disk."""
        if not self._stalled:
            _run("fsfreeze", "-f", str(self.folder))
            self._stalled = True

    def answer(self) -> None:
        """Let the writes go on."""
        if self._stalled:
            _run("fsfreeze", "-u", str(self.folder))
            self._stalled = False


@contextlib.contextmanager
def stalled_disk(folder: Path, mib: int) -> Iterator[StalledDisk]:
    """Mount a disk of a size below `folder`, which has to exist. Raises VigilError."""
    if missing := [name for name in ("mkfs.ext4", "fsfreeze") if shutil.which(name) is None]:
        raise VigilError(f"{missing[0]} is not installed: install e2fsprogs and util-linux.")
    image, at = folder / "disk.img", folder / "disk"
    with image.open("wb") as file:
        file.truncate(mib << 20)
    _run("mkfs.ext4", "-q", "-F", str(image))
    at.mkdir()
    _run("mount", "-o", "loop", str(image), str(at))
    disk = StalledDisk(at)
    try:
        yield disk
    finally:
        disk.answer()
        _run("umount", "-l", str(at))
        image.unlink()


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        text = done.stderr.strip() or f"exit code {done.returncode}"
        raise VigilError(f"`{' '.join(command)}` failed: {text}. It needs root and loop devices.")
