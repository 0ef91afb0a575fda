"""Decodes pictures of clients in child processes, a few at once."""

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass

import numpy as np

from domain.errors import MediaError
from inference.picture_process import ANSWER, REQUEST
from vision.detector import BgrImage

CHILDREN = max(1, min(4, os.cpu_count() or 1))
DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A picture, scaled down to what was asked for."""

    picture: BgrImage
    width: int
    """Of the picture that was sent, pixels."""
    height: int


class ClientPictureDecoder:
    """Starts a child when one is needed; the next picture uses it again."""

    def __init__(self, children: int = CHILDREN) -> None:
        self._slots = asyncio.Semaphore(children)
        self._idle: list[asyncio.subprocess.Process] = []

    async def decode(self, data: bytes, width: int, height: int) -> DecodedPicture:
        """Return a JPEG or PNG, at most of this size. Raises MediaError where it is neither."""
        async with self._slots:
            child = await self._child()
            try:
                async with asyncio.timeout(DEADLINE_S):
                    answer = await _ask(child, data, width, height)
            except BaseException as error:
                # Also when the client goes away: the child's answer belongs to no one.
                _kill(child)
                if isinstance(error, TimeoutError):
                    raise MediaError(f"Decoding takes longer than {DEADLINE_S:g} s.") from None
                if isinstance(error, (asyncio.IncompleteReadError, ConnectionError)):
                    raise MediaError("Decoding ended the process that decodes.") from None
                raise
            self._idle.append(child)
        if isinstance(answer, str):
            raise MediaError(answer)
        return answer

    async def close(self) -> None:
        """End the children."""
        for child in self._idle:
            _kill(child)
            await child.wait()
        self._idle.clear()

    async def _child(self) -> asyncio.subprocess.Process:
        while self._idle:
            child = self._idle.pop()
            if child.returncode is None:
                return child
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "inference.picture_process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip


async def _ask(
    child: asyncio.subprocess.Process, data: bytes, width: int, height: int
) -> DecodedPicture | str:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(REQUEST.pack(width, height, len(data)) + data)
    await child.stdin.drain()
    head = ANSWER.unpack(await child.stdout.readexactly(ANSWER.size))
    is_picture, full_width, full_height, sent_width, sent_height, length = head
    body = await child.stdout.readexactly(length)
    if not is_picture:
        return body.decode()
    picture = np.frombuffer(body, np.uint8).reshape(sent_height, sent_width, 3)
    return DecodedPicture(picture, full_width, full_height)


def _kill(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.kill()
