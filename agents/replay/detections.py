"""Runs a detector again over recorded chunks. Its detections are a separate version.

    catalog ─► chunks not analysed ─► bytes ─► pictures ─► objects ─► Kafka ─► mark of the chunk

Chunks are analysed one after the other. Memory holds one fragment while the next is read (double
buffering). A chunk is marked as analysed after Kafka has its detections. After a crash in between,
the chunk is analysed again and the same detections are sent, which changes nothing. See
docs/design/models.md.
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
from stores.catalog import Catalog, model_replays
from stores.catalog.intervals import TOLERANCE_MS
from stores.catalog.model_replays import Replay, ReplayChunk, ReplayWorkload
from stores.objects import ObjectStore
from streams.sender import EventSender
from vision.detector import Detector

CHUNKS_PER_PAGE = 20
"""Chunks whose manifests are in memory."""
MAX_FRAGMENT_BYTES = 256 << 20
INDEX_TIMEOUT_S = 60.0
INDEX_POLL_S = 0.5

T = TypeVar("T")


@dataclass
class DetectionReplayResult:
    """What this run of the command did, and what earlier runs had done."""

    chunks: int = 0
    pictures: int = 0
    objects: int = 0
    faults: int = 0
    """Chunks of which some fragments could not be analysed."""
    already: int = 0
    """Chunks that an earlier run has analysed."""
    loose: int = 0
    """Fragments that are in no chunk yet. Repeat the replay when they are."""
    waiting: int = 0
    """Objects that were sent, but that the catalog does not have yet."""


class DetectionReplay:
    """Runs one detector over cameras again. `clock_ms` returns UTC in milliseconds."""

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
        self._store = store
        self._catalog = catalog
        self._sender = sender
        self._detector = detector
        self._progress = progress
        self._who = who
        self._clock_ms = clock_ms
        self.result = DetectionReplayResult()

    async def run(self, replays: Sequence[Replay]) -> None:
        """Analyse what is left. Raises StoreError or ModelError: run it again to continue."""
        workloads = [await self._workload(each) for each in replays]
        self._progress.total = sum(each.chunks for each in workloads)
        self._progress.resume(sum(each.done for each in workloads))
        for replay, workload in zip(replays, workloads, strict=True):
            self.result.already += workload.done
            self.result.loose += workload.fragments
            await self._replay_camera(replay)

    async def _workload(self, replay: Replay) -> ReplayWorkload:
        return await model_replays.workload(
            self._catalog, replay.camera, replay.from_ms, replay.to_ms, replay.id
        )

    async def _replay_camera(self, replay: Replay) -> None:
        last: ReplayChunk | None = None
        while page := await self._retry(
            lambda: model_replays.next_chunks(self._catalog, replay, last, CHUNKS_PER_PAGE)  # noqa: B023
        ):
            for chunk in page:
                await self._replay_chunk(replay, chunk)
                self._progress.add()
            last = page[-1]
        await self._retry(
            lambda: model_replays.finish(self._catalog, replay, self._who, self._clock_ms())
        )

    async def _replay_chunk(self, replay: Replay, chunk: ReplayChunk) -> None:
        detector = ChunkDetector(
            self._detector,
            within=(replay.from_ms, replay.to_ms),
            rate_mfps=replay.rate_mfps,
            gated=replay.gated,
        )
        covered: list[tuple[int, int]] = []
        faults: list[str] = []
        async with aclosing(self._read_fragments(replay, chunk)) as fragments:
            async for fragment, data in fragments:
                try:
                    if isinstance(data, Exception):
                        raise data
                    await asyncio.to_thread(detector.add_fragment, data, _clock(fragment))
                except (MediaError, IntegrityError, ObjectMissingError) as error:
                    faults.append(f"fragment {fragment['seq']}: {error}")
                    continue
                start_ms = fragment["start_ms"]
                covered.append((start_ms, start_ms + fragment["duration_ms"]))
        await asyncio.to_thread(detector.flush)
        for event in events(replay.camera, chunk.run, replay.version, replay.id, detector.frames):
            await self._retry(lambda: self._sender.send(event))  # noqa: B023
        within = Spans([(replay.from_ms, replay.to_ms)])
        await self._retry(
            lambda: model_replays.mark_analysed(
                self._catalog,
                replay,
                chunk,
                pictures=detector.pictures,
                objects=detector.objects,
                covered=Spans(covered, tolerance_ms=TOLERANCE_MS) & within,
                fault="; ".join(faults)[:500] or None,
            )
        )
        self._count(replay, detector, faults)

    async def _read_fragments(
        self, replay: Replay, chunk: ReplayChunk
    ) -> AsyncGenerator[tuple[dict[str, Any], bytes | Exception], None]:
        """Yield the fragments in the replay's time, each with its bytes or with the error."""
        wanted = [
            each
            for each in chunk.fragments
            if each["start_ms"] < replay.to_ms
            and each["start_ms"] + each["duration_ms"] > replay.from_ms
        ]
        next_read = asyncio.create_task(self._read(chunk, wanted[0])) if wanted else None
        try:
            for at, fragment in enumerate(wanted):
                assert next_read is not None
                data = await next_read
                after = wanted[at + 1] if at + 1 < len(wanted) else None
                next_read = asyncio.create_task(self._read(chunk, after)) if after else None
                yield fragment, data
        finally:
            if next_read is not None:
                next_read.cancel()
                await asyncio.gather(next_read, return_exceptions=True)

    async def _read(self, chunk: ReplayChunk, fragment: dict[str, Any]) -> bytes | Exception:
        size_bytes = fragment["size_bytes"]
        if size_bytes > MAX_FRAGMENT_BYTES:
            return MediaError(f"its {size_bytes} bytes are too many to analyse.")
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

    def _count(self, replay: Replay, detector: ChunkDetector, faults: list[str]) -> None:
        self.result.chunks += 1
        self.result.pictures += detector.pictures
        self.result.objects += detector.objects
        if faults:
            self.result.faults += 1
            self._progress.say(f"{replay.camera}: could not be analysed: {faults[0]}")

    async def wait_for_index(
        self, replays: Sequence[Replay], within_s: float = INDEX_TIMEOUT_S
    ) -> None:
        """Wait until the catalog has what was sent. Note how much it lacks after `within_s`."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        cameras = [each.camera for each in replays]
        ids = {each.id for each in replays}
        version = replays[0].version
        while True:
            current = await model_replays.list_replays(self._catalog, cameras, version)
            missing = [
                max(0, each.objects - await model_replays.indexed_objects(self._catalog, each))
                for each in current
                if each.id in ids
            ]
            self.result.waiting = sum(missing)
            if not self.result.waiting or loop.time() >= until_s:
                return
            await asyncio.sleep(INDEX_POLL_S)


def _clock(fragment: dict[str, Any]) -> FragmentClock:
    return FragmentClock(
        start_pts=fragment["start_pts"],
        start_ms=fragment["start_ms"],
        duration_ms=fragment["duration_ms"],
        frames=fragment.get("frames") or 1,
    )
