"""A file that is uploaded in blocks: its memory does not grow with its size."""

import hashlib
import os
import threading
from collections.abc import Iterator
from io import FileIO

BLOCK_SIZE = 256 << 10


class UploadFile:
    """The first `size` bytes of an open file. Every method but `close` may wait for the disk.

    A read may still run in a thread after its request was cancelled. Then it closes the file when
    it ends: the descriptor must not become another file's during the read.
    """

    def __init__(self, file: FileIO, size: int) -> None:
        self.size = size
        self._file = file
        self._closed = False
        self._lock = threading.Lock()

    def read_at(self, offset: int) -> bytes:
        """Return the next block.

        Raises EOFError where the file is shorter, OSError where it was closed or cannot be read.
        """
        with self._lock:
            if self._closed:
                raise OSError("the file was closed")
            block = os.pread(self._file.fileno(), min(BLOCK_SIZE, self.size - offset), offset)
        if self._closed:
            self.close()
        if not block:
            raise EOFError(f"the file ends at byte {offset} of {self.size}")
        return block

    def blocks(self) -> Iterator[bytes]:
        """Yield all blocks."""
        offset = 0
        while offset < self.size:
            block = self.read_at(offset)
            offset += len(block)
            yield block

    def sha256(self) -> str:
        """Return the hash in hex of the file's bytes, or of fewer where it is shorter."""
        digest = hashlib.sha256()
        try:
            for block in self.blocks():
                digest.update(block)
        except EOFError:
            pass
        return digest.hexdigest()

    def close(self) -> None:
        """Close the file now, or after the read in progress; never waits."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._file.close()
            finally:
                self._lock.release()
