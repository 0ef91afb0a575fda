"""The past in S3: manifests day by day, then fragments and runs' ends that no chunk accounts for.

What is read so is as the joiner, the edge and the recorder wrote it; it tells all that the events
told but when they were sent, and of no detections and heartbeats.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from agents.healing.reconciler import ReconcileOptions, Reconciler
from domain.consistency import manifest_fault
from domain.errors import ObjectMissingError
from domain.events import ChunkComplete, FragmentArrived, RunEnded
from stores import bucket_listing as bucket
from stores.catalog import Catalog
from stores.objects import ObjectInfo, ObjectStore

AT_ONCE = 8
"""Manifests that are read beside each other."""
ALL_TIME = (0, 1 << 47)
SLACK_MS = 600_000
"""S3's clock and Kafka's may differ by this much, and a notice come this much after its object."""


@dataclass(frozen=True, slots=True)
class S3Source:
    """What stands in the bucket, written from a time on (by S3's clock, UTC ms)."""

    store: ObjectStore
    since_ms: int = 0

    async def cameras(self, only: Iterable[str]) -> list[str]:
        """Return the cameras asked for, or all that have objects, by id."""
        found = list(only) or [camera async for camera in bucket.cameras(self.store)]
        return sorted(found)

    async def days(self, camera: str) -> list[int]:
        """Return the UTC days (start, ms) that have chunks of the camera."""
        return sorted(await bucket.chunk_days(self.store, camera, *ALL_TIME))

    async def manifests(self, camera: str, day_ms: int) -> AsyncGenerator[ChunkComplete, None]:
        """Yield the sound manifests of a day, of all revisions, by window."""
        waiting: list[asyncio.Task[list[ChunkComplete]]] = []
        try:
            async for group in bucket.objects_by_window(self.store, camera, day_ms):
                for info in group:
                    if not info.key.endswith(".json") or not self._recent(info):
                        continue
                    waiting.append(asyncio.create_task(self._manifest(camera, info.key)))
                    while len(waiting) >= AT_ONCE:
                        for chunk in await waiting.pop(0):
                            yield chunk
            for task in waiting:
                for chunk in await task:
                    yield chunk
        finally:
            for each in waiting:
                each.cancel()

    async def _manifest(self, camera: str, key: str) -> list[ChunkComplete]:
        """Return the manifest, or nothing where it is unsound."""
        try:
            chunk = ChunkComplete.model_validate_json(await self.store.get(key))
        except (ValidationError, ObjectMissingError):
            return []  # the consistency check tells of it
        sound = chunk.camera == camera and manifest_fault(key, chunk) is None
        return [chunk] if sound else []

    def _recent(self, info: ObjectInfo) -> bool:
        return info.modified_ms >= self.since_ms - SLACK_MS

    async def loose(
        self, catalog: Catalog, camera: str, now_ms: int, window_ms: int
    ) -> AsyncGenerator[FragmentArrived | RunEnded, None]:
        """Yield fragments that no chunk in the catalog accounts for, and ends it does not know."""
        options = ReconcileOptions(0, now_ms, 0, window_ms, max_fragments=1 << 40)
        async for event in Reconciler(self.store, catalog, options).events_to_send(camera):
            yield event
