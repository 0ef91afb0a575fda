"""The child process that decodes single frames: `python -m media.picture_process`.

It decodes bytes that a stranger may have made, so it holds no secret, and its memory is limited.

    standard input    width, length, bytes of MPEG-TS     one request after the other
    standard output   ok, length, JPEG or the reason      one answer for each
"""

import contextlib
import resource
import struct
import sys
from pathlib import Path
from typing import BinaryIO

import cv2

from domain.errors import MediaError
from media.allocation_limit import limit_allocations
from media.thumbnail import jpeg

REQUEST = struct.Struct(">II")
"""Width in pixels, and how many bytes of MPEG-TS follow."""
ANSWER = struct.Struct(">?I")
"""Whether it is a JPEG (else: a text why not), and how many bytes follow."""
MEMORY_BYTES = 384 << 20
"""More memory than the loaded libraries take. A decoded 8K picture needs about 250 MiB."""


def limit_memory() -> None:
    """Limit the address space of this process to what it has now and MEMORY_BYTES."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        width, length = REQUEST.unpack(head)
        is_picture, body = _decode(requests.read(length), width)
        answers.write(ANSWER.pack(is_picture, len(body)) + body)
        answers.flush()


def _decode(data: bytes, width: int) -> tuple[bool, bytes]:
    try:
        return True, jpeg(data, width)
    except MediaError as error:
        return False, str(error).encode()
    except (MemoryError, OSError, cv2.error):
        return False, b"it needs more memory than one picture may take."


def confine() -> None:
    """Bound what this process takes, before it decodes what a stranger may have made."""
    cv2.setNumThreads(1)
    limit_allocations()
    limit_memory()
    with contextlib.suppress(OSError):  # it ends before the server does, where /proc allows that
        Path("/proc/self/oom_score_adj").write_text("500")


def main() -> None:
    """Serve standard input."""
    confine()
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
