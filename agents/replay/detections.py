"""A detector run again over recorded chunks, as a version of its own.

    catalog ─► chunks not looked at ─► bytes ─► pictures ─► objects ─► Kafka ─► chunk's mark

One chunk after the other, one fragment's bytes in memory and the next on their way. A chunk's mark
is written after Kafka has its detections: who dies in between looks at that chunk again and sends
the same, which changes nothing. See docs/design/models.md.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from agents.replay.chunk_detector import ChunkDetector, events
from agents.replay.progress import ProgressDisplay
from agents.replay.retry import retry_for
from domain.errors import IntegrityError, MediaError, ObjectMissingError
from domain.spans import Spans
from media.frames import FragmentClock
from stores.catalog import Catalog
from stores.catalog import model_replays as book
from stores.catalog.intervals import TOLERANCE_MS
from stores.catalog.model_replays import Replay, ReplayChunk, ReplayWorkload
from stores.objects import ObjectStore
from streams.sender import EventSender
from vision.detector import Detector

PAGE = 20
"""Chunks whose manifests are in memory."""
MOST_FRAGMENT_BYTES = 256 << 20
INDEX_WAIT_S = 60.0
INDEX_LOOK_S = 0.5

T = TypeVar("T")


@dataclass
class DetectionReplayResult:
    """What this run of the command did, and what it found done."""

    chunks: int = 0
    pictures: int = 0
    objects: int = 0
    faults: int = 0
    """Chunks of which not all could be looked at."""
    already: int = 0
    """Chunks an earlier run was through with."""
    loose: int = 0
    """Fragments that no chunk holds yet: repeat the replay once one does."""
    waiting: int = 0
    """Objects that were sent and the catalog does not have yet."""


class DetectionReplay:
    """Looks at cameras again with one detector. `clock_ms` gives UTC in milliseconds."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: Catalog,
        sender: EventSender,
        detector: Detector,
        progress: ProgressDisplay,
        *,
        who: str,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store, self._catalog, self._sender = store, catalog, sender
        self._detector, self._progress = detector, progress
        self._who, self._clock_ms = who, clock_ms
        self.result = DetectionReplayResult()

    async def run(self, replays: Sequence[Replay]) -> None:
        """Look at all that is left; raises StoreError, ModelError: run it again to go on."""
        extents = [await self._extent(each) for each in replays]
        self._progress.total = sum(each.chunks for each in extents)
        self._progress.resume(sum(each.done for each in extents))
        for replay, extent in zip(replays, extents, strict=True):
            self.result.already += extent.done
            self.result.loose += extent.loose
            await self._camera(replay)

    async def _extent(self, of: Replay) -> ReplayWorkload:
        return await book.workload(self._catalog, of.camera, of.from_ms, of.to_ms, of.id)

    async def _camera(self, replay: Replay) -> None:
        last: ReplayChunk | None = None
        while page := await self._retry(
            lambda: book.next_chunks(self._catalog, replay, last, PAGE)  # noqa: B023
        ):
            for chunk in page:
                await self._chunk(replay, chunk)
                self._progress.add()
            last = page[-1]
        await self._retry(lambda: book.finish(self._catalog, replay, self._who, self._clock_ms()))

    async def _chunk(self, replay: Replay, chunk: ReplayChunk) -> None:
        look = ChunkDetector(
            self._detector,
            within=(replay.from_ms, replay.to_ms),
            rate_mfps=replay.rate_mfps,
            gated=replay.gated,
        )
        seen: list[tuple[int, int]] = []
        faults: list[str] = []
        async with aclosing(self._fragments(replay, chunk)) as fragments:
            async for fragment, data in fragments:
                try:
                    if isinstance(data, Exception):
                        raise data
                    await asyncio.to_thread(look.fragment, data, _clock(fragment))
                except (MediaError, IntegrityError, ObjectMissingError) as error:
                    faults.append(f"fragment {fragment['seq']}: {error}")
                    continue
                start_ms = fragment["start_ms"]
                seen.append((start_ms, start_ms + fragment["duration_ms"]))
        await asyncio.to_thread(look.rest)
        for event in events(replay.camera, chunk.run, replay.version, replay.id, look.frames):
            await self._retry(lambda: self._sender.send(event))  # noqa: B023
        within = Spans([(replay.from_ms, replay.to_ms)])
        await self._retry(
            lambda: book.mark_analysed(
                self._catalog,
                replay,
                chunk,
                pictures=look.pictures,
                objects=look.objects,
                covered=Spans(seen, tolerance_ms=TOLERANCE_MS) & within,
                fault="; ".join(faults)[:500] or None,
            )
        )
        self._count(replay, look, faults)

    async def _fragments(
        self, replay: Replay, chunk: ReplayChunk
    ) -> AsyncGenerator[tuple[dict[str, Any], bytes | Exception], None]:
        """Yield those fragments that touch the stretch with their bytes, or why there are none."""
        wanted = [
            each
            for each in chunk.fragments
            if each["start_ms"] < replay.to_ms
            and each["start_ms"] + each["duration_ms"] > replay.from_ms
        ]
        coming = asyncio.create_task(self._read(chunk, wanted[0])) if wanted else None
        try:
            for at, fragment in enumerate(wanted):
                assert coming is not None
                data = await coming
                after = wanted[at + 1] if at + 1 < len(wanted) else None
                coming = asyncio.create_task(self._read(chunk, after)) if after else None
                yield fragment, data
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _read(self, chunk: ReplayChunk, fragment: dict[str, Any]) -> bytes | Exception:
        size_bytes = fragment["size_bytes"]
        if size_bytes > MOST_FRAGMENT_BYTES:
            return MediaError(f"its {size_bytes} bytes are too many to look at.")
        try:
            return await self._retry(
                lambda: self._store.get_verified(
                    chunk.object_key,
                    size_bytes=size_bytes,
                    sha256=fragment["sha256"],
                    first=fragment["offset"],
                )
            )
        except (IntegrityError, ObjectMissingError) as error:
            return error

    async def _retry(self, action: Callable[[], Awaitable[T]]) -> T:
        return await retry_for(action, say=self._progress.say)

    def _count(self, replay: Replay, look: ChunkDetector, faults: list[str]) -> None:
        self.result.chunks += 1
        self.result.pictures += look.pictures
        self.result.objects += look.objects
        if faults:
            self.result.faults += 1
            self._progress.say(f"{replay.camera}: could not be looked at: {faults[0]}")

    async def wait_for_index(
        self, replays: Sequence[Replay], within_s: float = INDEX_WAIT_S
    ) -> None:
        """Wait until the catalog has what was sent; note how much it lacks after `within_s`."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        cameras = [each.camera for each in replays]
        ids = {each.id for each in replays}
        version = replays[0].version
        while True:
            now = await book.list_replays(self._catalog, cameras, version)
            lacking = [
                max(0, each.objects - await book.indexed_objects(self._catalog, each))
                for each in now
                if each.id in ids
            ]
            self.result.waiting = sum(lacking)
            if not self.result.waiting or loop.time() >= until_s:
                return
            await asyncio.sleep(INDEX_LOOK_S)


def _clock(fragment: dict[str, Any]) -> FragmentClock:
    return FragmentClock(
        start_pts=fragment["start_pts"],
        start_ms=fragment["start_ms"],
        duration_ms=fragment["duration_ms"],
        frames=fragment.get("frames") or 1,
    )
