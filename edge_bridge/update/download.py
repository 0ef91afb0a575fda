"""Downloads an update over a thin line: slowly, over cuts and restarts, and verifies it.

        ┌──────────── waits, longer each time ◄──────────┐ no byte more than before
        ▼                                                │
    checking ─► downloading ─► verifying ─► done         ├─► failed, after ATTEMPTS in a row
        │             └──────── cut, stall, error ───────┘
        └─► failed: the disk has no room

What was received stays on the disk. Another call goes on there, also after a restart.
"""

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal

import aiohttp

from domain.backoff import EQUAL_JITTER, Backoff
from domain.errors import CredentialsError, IntegrityError, StoreError
from domain.token_bucket import RateBucket
from edge_bridge.update.part_file import PartFile
from edge_bridge.update.source import RangeSource

log = logging.getLogger(__name__)

ATTEMPTS: Final = 20
"""In a row without a byte more: about an hour and a half. Then the caller decides."""
DIGEST_ATTEMPTS: Final = 3
"""How often whole files with other bytes are accepted as an accident of the way."""
BACKOFF = Backoff(first_s=2.0, longest_s=300.0, jitter=EQUAL_JITTER)
STALL_S: Final = 60.0
"""A block that takes longer than this is a stall: less than 300 bytes a second."""
RESERVE_BYTES: Final = 1 << 30
"""What stays free on the disk besides the update."""
_BLOCK_BYTES = 16 << 10
_WRITE_BYTES = 256 << 10
_BURST_S = 1.0
_RECHECK_S = 5.0
"""The longest single wait for the rate: it may change during it."""
_LEAST_WAIT_S = 0.001
"""A rounding error of the bucket is not worth a wait of nothing, again and again."""
_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")

Phase = Literal["checking", "downloading", "waiting", "verifying", "done", "failed"]


class DownloadError(StoreError):
    """The download ended without the file. A later call goes on where it was."""


class NoRoomError(DownloadError):
    """The disk has no room for the file."""


class DigestError(DownloadError):
    """The server has other bytes than those that were announced."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that is announced by someone who is trusted."""

    size: int
    """Bytes."""
    sha256: str
    """In hex, lower case."""

    def __post_init__(self) -> None:
        if self.size <= 0 or not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise IntegrityError("an update is announced without its size or SHA-256.")


@dataclass(slots=True)
class DownloadState:
    """What people see of it."""

    phase: Phase = "checking"
    received: int = 0
    """Bytes that are on the disk."""
    size: int = 0
    attempts: int = 0
    """In a row without progress."""
    retry_in_s: float | None = None
    """While `waiting`."""
    detail: str = ""
    """The last failure, for people; empty: none."""
    held_back: bool = False
    """The rate is 0 now: the line is needed for footage, or it is down."""


class Download:
    """Fetches one file. `run` may be called again after it failed; one at a time."""

    def __init__(
        self,
        artifact: Artifact,
        source: RangeSource,
        folder: Path,
        *,
        bytes_per_s: Callable[[], int | None] = lambda: None,
        reserve_bytes: int = RESERVE_BYTES,
        stall_s: float = STALL_S,
        backoff: Backoff = BACKOFF,
        steady_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`folder`: on the disk of the footage, for downloads only.

        `bytes_per_s`: is asked before each block. None: no limit; 0: wait.
        """
        self._artifact = artifact
        self._source = source
        self._part = PartFile(folder, artifact.sha256)
        self._bytes_per_s = bytes_per_s
        self._reserve_bytes = reserve_bytes
        self._stall_s = stall_s
        self._backoff = backoff
        self._steady_s = steady_s
        self._sleep = sleep
        self._chance = chance
        self._bucket: RateBucket | None = None
        self._best = 0
        """Most bytes that were ever there: only more than that is progress."""
        self.state = DownloadState(size=artifact.size)

    async def run(self) -> Path:
        """Return the path of the whole, verified file.

        Raises NoRoomError, DigestError, DownloadError.
        """
        state = self.state
        state.phase, state.attempts, state.detail = "checking", 0, ""
        try:
            return await self._run()
        except OSError as error:
            failure = DownloadError(f"the update cannot be written: {error.strerror or error}.")
            state.phase, state.detail = "failed", str(failure)
            raise failure from error
        except StoreError as error:
            state.phase, state.detail = "failed", str(error)
            raise
        finally:
            state.retry_in_s = None
            state.held_back = False
            await asyncio.to_thread(self._part.close)

    async def _run(self) -> Path:
        state, part, artifact = self.state, self._part, self._artifact
        if await asyncio.to_thread(part.find_whole, artifact.size):
            state.phase, state.received = "done", artifact.size
            return part.whole
        await asyncio.to_thread(part.open)
        self._best = state.received = part.size
        digest_failures = 0
        while True:
            try:
                if part.size < artifact.size:
                    await self._check_room()
                    await self._attempt()
                state.phase = "verifying"
                if part.sha256 != artifact.sha256:
                    self._best = 0
                    await asyncio.to_thread(part.restart, None)
                    raise DigestError(
                        "the server has other bytes than those that were announced: their SHA-256 "
                        "differs. Publish the update again."
                    )
                await asyncio.to_thread(part.finish)
            except NoRoomError:
                raise
            except (StoreError, aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                if isinstance(error, DigestError):
                    digest_failures += 1
                    if digest_failures == DIGEST_ATTEMPTS:
                        raise
                await self._failed(error)
                continue
            state.phase, state.detail = "done", ""
            return part.whole

    async def _failed(self, error: Exception) -> None:
        """Wait before the next attempt; raises DownloadError after the last one."""
        state, part = self.state, self._part
        if part.size > self._best:
            self._best = part.size
            state.attempts = 0
        state.attempts += 1
        state.received = part.size
        state.detail = _text(error)
        if state.attempts >= ATTEMPTS:
            raise DownloadError(
                f"{ATTEMPTS} attempts in a row brought nothing: {state.detail}"
            ) from error
        delay_s = self._backoff.delay_s(state.attempts - 1, self._chance())
        state.phase, state.retry_in_s = "waiting", delay_s
        log.warning(
            "the download of an update stopped at %d of %d bytes: %s Trying again in %.0f s.",
            part.size, self._artifact.size, state.detail, delay_s,
        )  # fmt: skip
        if isinstance(error, CredentialsError):
            await self._source.refresh()
        await self._sleep(delay_s)
        state.retry_in_s = None

    async def _check_room(self) -> None:
        missing = await asyncio.to_thread(
            self._part.missing_bytes, self._artifact.size, self._reserve_bytes
        )
        if missing:
            raise NoRoomError(
                f"the disk lacks {missing >> 20} MiB for the update: lower spool.max_bytes, or "
                "use a larger disk."
            )

    async def _attempt(self) -> None:
        """Receive until the file is whole, or the connection ends: raises then."""
        part, state = self._part, self.state
        state.phase = "downloading"
        await self._allowed(0)
        async with (
            asyncio.timeout(self._stall_s) as headers_in_time,
            self._source.read_from(part.size, part.etag) as response,
        ):
            headers_in_time.reschedule(None)
            await self._begin(response)
            pending = bytearray()
            try:
                while part.size + len(pending) < self._artifact.size:
                    wanted = min(_BLOCK_BYTES, self._artifact.size - part.size - len(pending))
                    await self._allowed(wanted)
                    block = await self._read(response, wanted)
                    pending += block
                    if len(pending) >= _WRITE_BYTES:
                        await self._write(pending)
                    if len(block) < wanted:
                        raise DownloadError("the connection ended before the file did.")
            finally:
                # What came before a cut is kept: on a bad line each attempt brings a little.
                await self._write(pending)

    async def _write(self, pending: bytearray) -> None:
        if pending:
            await asyncio.to_thread(self._part.append, bytes(pending))
            pending.clear()
            self.state.received = self._part.size

    async def _read(self, response: aiohttp.ClientResponse, wanted: int) -> bytes:
        """Return that many bytes, fewer at the end of the response."""
        block = bytearray()
        try:
            async with asyncio.timeout(self._stall_s):
                while len(block) < wanted:
                    data = await response.content.read(wanted - len(block))
                    if not data:
                        break
                    block += data
        except TimeoutError:
            if not block:
                raise
        except (aiohttp.ClientError, ConnectionError):
            if not block:
                raise
        return bytes(block)

    async def _begin(self, response: aiohttp.ClientResponse) -> None:
        """Compare the headers with what is there; begin again where the server has to."""
        part, artifact = self._part, self._artifact
        etag = _strong_etag(response)
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding not in ("", "identity"):
            raise DownloadError(f"the server sends the file as {encoding}: switch that off.")
        match response.status:
            case HTTPStatus.PARTIAL_CONTENT:
                found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
                first, _, total = (int(number) for number in found.groups()) if found else (-1,) * 3
                if total not in (-1, artifact.size):
                    await asyncio.to_thread(part.restart, None)
                    raise _other_size(total, artifact.size)
                if first != part.size:
                    await asyncio.to_thread(part.restart, None)
                    raise DownloadError("the server sends another part than the one asked for.")
                if part.etag is not None and etag is not None and etag != part.etag:
                    await asyncio.to_thread(part.restart, None)
                    raise DownloadError("the file on the server was replaced; beginning again.")
                part.etag = part.etag or etag
            case HTTPStatus.OK:
                length = response.content_length
                if length not in (None, artifact.size):
                    await asyncio.to_thread(part.restart, None)
                    raise _other_size(length or 0, artifact.size)
                if part.size:
                    log.info("the server sends the update from its beginning")
                await asyncio.to_thread(part.restart, etag)
            case HTTPStatus.PRECONDITION_FAILED | HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                await asyncio.to_thread(part.restart, None)
                raise DownloadError("the file on the server was replaced; beginning again.")
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN | HTTPStatus.BAD_REQUEST:
                # S3 answers 400 to credentials that have expired.
                raise CredentialsError(f"the server refuses this device ({response.status}).")
            case HTTPStatus.NOT_FOUND:
                raise DownloadError("the server does not have the file. Publish the update again.")
            case status:
                raise DownloadError(f"the server answers {status}.")

    async def _allowed(self, size: int) -> None:
        """Wait until so many bytes may be received; 0: until anything may."""
        while (rate := self._bytes_per_s()) is not None:
            now_s = self._steady_s()
            capacity = max(rate * _BURST_S, float(_BLOCK_BYTES))
            if self._bucket is None:
                self._bucket = RateBucket(float(rate or 1), capacity, 0.0, now_s)
            self._bucket.wait_s(0, now_s)  # what came back until now came at the old rate
            self._bucket.rate, self._bucket.capacity = float(rate or 1), capacity
            if rate == 0:
                self._bucket.tokens = 0.0
                wait_s = _RECHECK_S
            else:
                wait_s = self._bucket.wait_s(size, now_s)
                if wait_s == 0:
                    break
            self.state.held_back = rate == 0
            await self._sleep(min(max(wait_s, _LEAST_WAIT_S), _RECHECK_S))
        self.state.held_back = False


def _strong_etag(response: aiohttp.ClientResponse) -> str | None:
    """Return the ETag where it promises the same bytes (RFC 9110, 8.8.1)."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else None


def _other_size(found: int, announced: int) -> DigestError:
    return DigestError(
        f"the server has a file of {found} bytes, but {announced} were announced. Publish the "
        "update again."
    )


def _text(error: Exception) -> str:
    if isinstance(error, StoreError):
        return str(error)[:500]
    if isinstance(error, TimeoutError):
        return "no answer in time."
    return f"the connection failed: {(str(error) or type(error).__name__)[:300]}."
