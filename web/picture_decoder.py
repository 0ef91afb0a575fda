"""Decodes pictures in child processes, a few at once, with a short queue for each principal.

requests of a principal ──► at most 16 wait or run ──► tenants take turns ──► CHILDREN ──► JPEG
                              more: 429, Retry-After                       10 s: killed
"""

import asyncio
import contextlib
import os
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http import HTTPStatus
from threading import Timer

from domain.errors import MediaError
from media.picture_process import ANSWER, REQUEST
from stores.fair_queue import FairQueue
from web.bounds import too_many
from web.problems import ProblemError

CHILDREN = max(1, min(4, os.cpu_count() or 1))
MAX_PER_PRINCIPAL = 16
"""Pictures of one principal that wait or are decoded."""
MAX_QUEUE = 64
"""Pictures of all principals that wait or are decoded."""
DEADLINE_S = 10.0
MAX_JPEG_BYTES = 8 << 20


class PictureDecoder:
    """Starts a child when one is needed; the next picture uses it again."""

    def __init__(self, children: int = CHILDREN, deadline_s: float = DEADLINE_S) -> None:
        self._slots = FairQueue(children)
        self._deadline_s = deadline_s
        self._idle: list[subprocess.Popen[bytes]] = []
        self._threads = ThreadPoolExecutor(children, thread_name_prefix="picture")
        self._queued: Counter[str] = Counter()

    @asynccontextmanager
    async def slot(self, principal: str, party: str = "") -> AsyncIterator[None]:
        """Hold one of the few slots: read the bytes of the picture, then call `jpeg`.

        Parties (tenants) that wait take turns. Raises ProblemError where too many wait: 429, those
        of this principal; 503, all together.
        """
        if self._queued[principal] >= MAX_PER_PRINCIPAL:
            raise too_many("decoders", "Too many pictures are requested at once. Try again.", 1)
        if self._queued.total() >= MAX_QUEUE:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Too many pictures are requested at once. Try again.",
                {"Retry-After": "1"},
            )
        self._queued[principal] += 1
        try:
            async with self._slots.slot(party):
                yield
        finally:
            self._queued[principal] -= 1
            if not self._queued[principal]:
                del self._queued[principal]

    async def jpeg(self, data: bytes, width: int) -> bytes:
        """Return the first picture in `data` as JPEG; raises MediaError where there is none."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._jpeg, data, width)

    def _jpeg(self, data: bytes, width: int) -> bytes:
        child = self._idle.pop() if self._idle else _start()
        # Killing the child ends the wait for its answer.
        watchdog = Timer(self._deadline_s, child.kill)
        watchdog.start()
        try:
            is_picture, body = _ask(child, data, width)
        except (OSError, ValueError, struct.error) as error:
            _stop(child)
            raise MediaError("The picture takes too long or too much memory.") from error
        finally:
            watchdog.cancel()
        self._idle.append(child)
        if not is_picture:
            raise MediaError(body.decode(errors="replace"))
        return body

    def close(self) -> None:
        """Stop the children."""
        self._threads.shutdown(cancel_futures=True)
        while self._idle:
            _stop(self._idle.pop())


def _start() -> subprocess.Popen[bytes]:
    # Its environment holds no secret of ours, and one thread of each library is enough.
    names = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "HOME", "TMPDIR")
    env = {name: os.environ[name] for name in names if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "media.picture_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=env | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )


def _ask(child: subprocess.Popen[bytes], data: bytes, width: int) -> tuple[bool, bytes]:
    """Return the child's answer; raises struct.error or ValueError where it ended before."""
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(REQUEST.pack(width, len(data)))
    child.stdin.write(data)
    child.stdin.flush()
    is_picture, length = ANSWER.unpack(child.stdout.read(ANSWER.size))
    if length > MAX_JPEG_BYTES:
        raise ValueError("the answer is too long")
    body = child.stdout.read(length)
    if len(body) < length:
        raise ValueError("the answer ends early")
    return is_picture, body


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    with contextlib.suppress(OSError):  # what it did not read is dropped
        child.communicate()
