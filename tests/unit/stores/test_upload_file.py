"""Files that are uploaded in blocks, and closed while a thread still reads them."""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stores import upload_file
from stores.upload_file import BLOCK_SIZE, UploadFile

DATA = bytes(range(256)) * 3_000


def opened(folder: Path, size: int = len(DATA)) -> UploadFile:
    path = folder / "fragment"
    path.write_bytes(DATA)
    return UploadFile(path.open("rb", buffering=0), size)


@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE, len(DATA)])
def test_the_first_bytes_are_read_again_and_again(tmp_path: Path, size: int) -> None:
    file = opened(tmp_path, size)
    for _ in range(2):
        blocks = list(file.blocks())
        assert b"".join(blocks) == DATA[:size]
        assert max(map(len, blocks), default=0) <= BLOCK_SIZE
    assert file.sha256() == hashlib.sha256(DATA[:size]).hexdigest()
    file.close()
    with pytest.raises(OSError, match="closed"):
        file.read_at(0)


def test_a_shorter_file_has_another_hash_and_cannot_be_sent(tmp_path: Path) -> None:
    file = opened(tmp_path, len(DATA) + 1)
    assert file.sha256() == hashlib.sha256(DATA).hexdigest()
    with pytest.raises(EOFError, match="ends at byte"):
        list(file.blocks())
    file.close()


def test_a_read_in_progress_keeps_its_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, closed = threading.Event(), threading.Event()
    pread: Callable[[int, int, int], bytes] = os.pread

    def slow(descriptor: int, size: int, offset: int) -> bytes:
        reading.set()
        assert closed.wait(20)
        return pread(descriptor, size, offset)  # raises if the descriptor was closed

    monkeypatch.setattr(upload_file.os, "pread", slow)
    file = opened(tmp_path)
    blocks: list[bytes] = []
    thread = threading.Thread(target=lambda: blocks.append(file.read_at(0)))
    thread.start()
    assert reading.wait(20)
    file.close()  # does not wait
    assert not file._file.closed
    closed.set()
    thread.join(20)
    assert blocks == [DATA[:BLOCK_SIZE]]
    assert file._file.closed
