"""Decodes pictures in child processes, a few at once, with a short queue for each key.

requests of a key ──► at most 16 wait or run ──► at most CHILDREN run ──► JPEG
                          more: 503, Retry-After       10 s: killed
"""

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from domain.errors import MediaError
from media.picture_process import ANSWER, REQUEST
from web.problems import ProblemError

CHILDREN = max(1, min(4, os.cpu_count() or 1))
MAX_PER_PRINCIPAL = 16
"""Pictures of one key that wait or are decoded."""
MAX_QUEUE = 64
"""Pictures of all keys that wait or are decoded."""
DEADLINE_S = 10.0
MAX_JPEG_BYTES = 8 << 20


class PictureDecoder:
    """Starts a child when one is needed; the next picture uses it again."""

    def __init__(self, children: int = CHILDREN, deadline_s: float = DEADLINE_S) -> None:
        self._slots = asyncio.Semaphore(children)
        self._deadline_s = deadline_s
        self._idle: list[asyncio.subprocess.Process] = []
        self._queued: Counter[int] = Counter()

    @asynccontextmanager
    async def slot(self, principal: int) -> AsyncIterator[None]:
        """Hold one of the few slots: read the bytes of the picture, then call `jpeg`.

        Raises ProblemError (503) where this key, or all keys together, have too many waiting.
        """
        full = self._queued.total() >= MAX_QUEUE
        if full or self._queued[principal] >= MAX_PER_PRINCIPAL:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Too many pictures are requested at once. Try again.",
                {"Retry-After": "1"},
            )
        self._queued[principal] += 1
        try:
            async with self._slots:
                yield
        finally:
            self._queued[principal] -= 1
            if not self._queued[principal]:
                del self._queued[principal]

    async def jpeg(self, data: bytes, width: int) -> bytes:
        """Return the first picture in `data` as JPEG; raises MediaError where there is none."""
        child = self._idle.pop() if self._idle else await _start()
        answered = False
        try:
            async with asyncio.timeout(self._deadline_s):
                is_picture, body = await _ask(child, data, width)
            answered = True
        except (TimeoutError, asyncio.IncompleteReadError, OSError, ValueError) as error:
            raise MediaError("The picture takes too long or too much memory.") from error
        finally:
            if not answered:  # it failed or is cancelled: no other picture may get this answer
                await _stop(child)
        self._idle.append(child)
        if not is_picture:
            raise MediaError(body.decode(errors="replace"))
        return body

    async def close(self) -> None:
        """Stop the children."""
        while self._idle:
            await _stop(self._idle.pop())


async def _start() -> asyncio.subprocess.Process:
    # Its environment holds no secret of ours, and one thread of each library is enough.
    names = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "HOME", "TMPDIR")
    env = {name: os.environ[name] for name in names if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "media.picture_process"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=env | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )


async def _ask(child: asyncio.subprocess.Process, data: bytes, width: int) -> tuple[bool, bytes]:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(REQUEST.pack(width, len(data)))
    child.stdin.write(data)
    await child.stdin.drain()
    is_picture, length = ANSWER.unpack(await child.stdout.readexactly(ANSWER.size))
    if length > MAX_JPEG_BYTES:
        raise ValueError("the answer is too long")
    return is_picture, await child.stdout.readexactly(length)


async def _stop(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.kill()
    await child.wait()
