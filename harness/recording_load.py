"""Synthetic cameras that record into an installation, and what came of their footage."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Self

from domain.times import utc_ms
from harness.chaos import invariants
from harness.chaos.quiesce import Settling
from harness.chaos.synthetic_cameras import CALM, SyntheticCamera, Tally
from harness.event_feeder import Entrance
from stores.catalog import Catalog, add_camera
from stores.objects import ObjectStore
from streams.settings import Settings
from streams.storage import make_object_store

_AN_HOUR_MS = 3_600_000


class RecordingLoad:
    """Records while it is entered; `settled` ends that and compares.

    `cameras` of a tenant, a fragment of each every `pace_s` seconds. The environment has the
    installation's settings; its schema exists.
    """

    def __init__(
        self,
        settings: Settings,
        tenant: str,
        cameras: int,
        seed: int,
        report: Callable[[str], None],
        *,
        pace_s: float = 2.0,
    ) -> None:
        self._settings = settings
        self._tenant = tenant
        self._count = cameras
        self._seed = seed
        self._report = report
        self._pace_s = pace_s
        self._ending = asyncio.Event()
        self.tally = Tally()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as resources:
            enter = resources.enter_async_context
            self._store: ObjectStore = await enter(make_object_store(self._settings))
            self.catalog = await enter(Catalog(self._settings.database_url.get_secret_value()))
            self._entrance = await enter(Entrance(self._settings))
            self._cameras = [self._camera(number) for number in range(self._count)]
            for each in self._cameras:
                await add_camera(self.catalog, each.camera, each.camera, 0, unsigned="accept")
            self._recording = [
                asyncio.create_task(each.record(self._ending)) for each in self._cameras
            ]
            resources.push_async_callback(self._cancel)
            self._resources = resources.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def chunks(self) -> int:
        """Return how many chunks of these cameras the catalog knows."""
        async with self.catalog.transaction() as connection:
            return int(
                await connection.fetchval(
                    "SELECT count(*) FROM chunks WHERE camera LIKE $1", f"{self._tenant}/%"
                )
            )

    async def settled(self, within_s: float) -> dict[str, Any]:
        """End the cameras, wait until all they recorded is in chunks, and compare.

        Returns the figures; `clean` says whether every fragment is in one current chunk, byte for
        byte, and nothing else is. What is not there after `within_s` counts as lost.
        """
        self._ending.set()
        await asyncio.gather(*self._recording)
        await self._entrance.drained()
        runs = [run for camera in self._cameras for run in camera.runs]
        settling = Settling(self._settings, time.monotonic(), within_s, self._report)
        await settling.no_lag(self._entrance)
        found = await settling.counted(self.catalog, runs)
        found.detections_lost = await invariants.detections_lost(
            self.catalog, self._tenant, self.tally.detections
        )
        await invariants.compared(self.catalog, self._store, runs, found)
        healed, dead = await settling.topics_say()
        for line in found.messages:
            self._report(line)
        return {
            "cameras": self._count, "fragments": self.tally.fragments,
            "chunks": found.chunks, "revisions": found.revisions, "lost": found.lost,
            "doubled": found.doubled, "unknown": found.unknown, "waiting": found.waiting,
            "gaps": found.gaps, "wrong_bytes": found.wrong_bytes,
            "disagreeing": found.disagreeing, "detections_lost": found.detections_lost,
            "healed": healed, "dead_letters": dead, "clean": found.clean and not dead,
        }  # fmt: skip

    async def _cancel(self) -> None:
        for task in self._recording:
            task.cancel()
        await asyncio.gather(*self._recording, return_exceptions=True)

    def _camera(self, number: int) -> SyntheticCamera:
        return SyntheticCamera(
            camera=f"{self._tenant}/site-{number // 16}/cam-{number:03}",
            dice=random.Random(f"{self._seed} camera {number}"),
            start_ms=utc_ms() - _AN_HOUR_MS,
            pace_s=self._pace_s,
            window_s=self._settings.window_ms / 1000,
            chances=CALM,
            store=self._store,
            entrance=self._entrance,
            tally=self.tally,
        )
