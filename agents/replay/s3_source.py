"""The past in S3: manifests day by day, then fragments and run ends that are in no chunk.

The joiner and the edge wrote these objects. They contain all that the events contained, except
when these were sent. S3 has no detections and no heartbeats.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from agents.healing.reconciler import ReconcileOptions, Reconciler
from domain.consistency import manifest_fault
from domain.errors import ObjectMissingError
from domain.events import ChunkComplete, FragmentArrived, RunEnded
from stores import bucket_listing
from stores.catalog import Catalog
from stores.object_info import ObjectInfo
from stores.objects import ObjectStore
from stores.stored_manifest import read_manifest

PARALLEL_READS = 8
"""Manifests that are read at the same time."""
ALL_TIME = (0, 1 << 47)
SLACK_MS = 600_000
"""The clocks of S3 and Kafka may differ by this, and a notice may be this much late."""


@dataclass(frozen=True, slots=True)
class S3Source:
    """Reads objects of the bucket written since a time (by S3's clock, UTC ms)."""

    store: ObjectStore
    since_ms: int = 0

    async def cameras(self, only: Iterable[str]) -> list[str]:
        """Return `only` these cameras, or all that have objects, sorted by id."""
        found = list(only) or [camera async for camera in bucket_listing.cameras(self.store)]
        return sorted(found)

    async def days(self, camera: str) -> list[int]:
        """Return the UTC days (start, ms) that have chunks of the camera."""
        return sorted(await bucket_listing.chunk_days(self.store, camera, *ALL_TIME))

    async def manifests(self, camera: str, day_ms: int) -> AsyncGenerator[ChunkComplete, None]:
        """Yield the valid manifests of a day, of all revisions, by window."""
        reads: list[asyncio.Task[list[ChunkComplete]]] = []
        try:
            async for group in bucket_listing.objects_by_window(self.store, camera, day_ms):
                for info in group:
                    if not info.key.endswith(".json") or not self._recent(info):
                        continue
                    reads.append(asyncio.create_task(self._read_manifest(camera, info.key)))
                    while len(reads) >= PARALLEL_READS:
                        for chunk in await reads.pop(0):
                            yield chunk
            for task in reads:
                for chunk in await task:
                    yield chunk
        finally:
            for each in reads:
                each.cancel()

    async def _read_manifest(self, camera: str, key: str) -> list[ChunkComplete]:
        """Return the manifest, or an empty list if it is invalid."""
        try:
            chunk = (await read_manifest(self.store, key)).chunk
        except (ValidationError, ObjectMissingError):
            return []  # the consistency check reports it
        valid = chunk.camera == camera and manifest_fault(key, chunk) is None
        return [chunk] if valid else []

    def _recent(self, info: ObjectInfo) -> bool:
        return info.modified_ms >= self.since_ms - SLACK_MS

    async def unjoined(
        self, catalog: Catalog, camera: str, now_ms: int, window_ms: int
    ) -> AsyncGenerator[FragmentArrived | RunEnded, None]:
        """Yield fragments that are in no chunk of the catalog, and run ends that it lacks."""
        options = ReconcileOptions(0, now_ms, 0, window_ms, max_fragments=1 << 40)
        async for event in Reconciler(self.store, catalog, options).events_to_send(camera):
            yield event
