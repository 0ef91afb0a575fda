"""After the outage: waiting until the cloud has made something of it, and asking it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from domain.events import AnyEvent, parse
from harness import lag
from harness.chaos import invariants as verdict
from harness.chaos.quiesce import Settling
from harness.chaos.synthetic_cameras import Run
from harness.edge_cloud import StoredRuns, differences, stored_runs
from harness.outage.cloud import OutageCloud
from harness.outage.invariants import (
    Api,
    Reported,
    count_answered,
    count_frames,
    count_underway,
    in_fragments,
)  # fmt: skip
from stores.catalog import Catalog
from stores.objects import ObjectStore
from stores.queue import Queue
from streams.settings import Settings
from streams.storage import make_object_store, make_queue
from streams.topics import DETECTION, FRAGMENT_ARRIVED

_GIVE_UP_S = 300.0
_ASK_EVERY_S = 2.0
_HOUR_MS = 3_600_000


@dataclass
class Afterwards:
    """Asks once the edge has sent everything. `began_ms`: when it began to record, UTC."""

    cloud: OutageCloud
    site: str
    reported: Reported
    began_ms: int
    say: Callable[[str], None]

    async def ask(self, frames: int, *, from_zero: bool) -> tuple[dict[str, Any], StoredRuns]:
        """Return what was found, with faults in words, and what is in S3.

        frames, from_zero: as `count_frames` takes them.
        """
        settings = Settings()
        ended_s = time.monotonic()
        stretch = self.began_ms - 60_000, int(time.time() * 1_000) + _HOUR_MS
        headers = {"Authorization": f"Bearer {self.cloud.key}"}
        async with (
            make_object_store(settings) as store,
            make_queue(settings, settings.sqs_queue_url) as queue,
            Catalog(settings.database_url.get_secret_value()) as catalog,
            aiohttp.ClientSession(headers=headers) as session,
        ):
            api = Api(session, self.cloud.url, *stretch)
            found = await stored_runs(store, self.site)
            held = await self._settled(catalog, queue, api, found)
            settled_s = time.monotonic() - ended_s
            self.say(f"settled {settled_s:.1f} s after the spool was drained")
            cameras = sorted({camera for camera, _ in found})
            shown = {camera: await api.shown(camera) for camera in cameras}
            answered = {camera: await api.detections(camera) for camera in cameras}
            gaps = [gap for camera in cameras for gap in await api.gaps(camera)]
            sent = await self._underway(settings)
            fsck = await Settling(settings, ended_s, _GIVE_UP_S, self.say).fsck()
            fragments = await self._in_fragments(store, found, frames, from_zero=from_zero)
        figures: dict[str, Any] = {
            **count_frames(shown, frames, from_zero=from_zero),
            **fragments,
            "runs": len(found), "chunks": held.chunks, "revisions": held.revisions,
            "gaps": len(gaps),
            "fragments": sum(len(run.fragments) for run in found.values()),
            **count_answered(answered, self.reported), **count_underway(sent, self.reported),
            "given_up": sum(len(run.end.given_up) for run in found.values() if run.end),
            "settled_s": round(settled_s, 1),
            "workers_ended_by_themselves": self.cloud.workers.ended_by_themselves,
            "fsck": fsck,
        }  # fmt: skip
        return figures | {
            "faults": [*differences(sent, found), *held.messages, *gaps, *wrong(figures)]
        }, found

    async def _settled(
        self, catalog: Catalog, queue: Queue, api: Api, found: StoredRuns
    ) -> verdict.Verdict:
        """Wait until all is in chunks and all detections are answered, at most _GIVE_UP_S."""
        runs = [
            Run(camera, run, 0, set(stored_run.fragments))
            for (camera, run), stored_run in found.items()
        ]
        deadline_s = time.monotonic() + _GIVE_UP_S
        while True:
            held = await verdict.counted(catalog, runs)
            answered = {camera: await api.detections(camera) for camera in {r.camera for r in runs}}
            missing = count_answered(answered, self.reported)["detections_lost"]
            left = await queue.message_count()
            # A manifest may list a gap that late fragments of the window before have filled.
            loose = held.lost + held.doubled + held.unknown + held.waiting
            if not (loose or missing or left) or time.monotonic() > deadline_s:
                return held
            self.say(f"waiting for {loose} fragments, {missing} detections, {left} in SQS")
            await asyncio.sleep(_ASK_EVERY_S)

    async def _underway(self, settings: Settings) -> list[AnyEvent]:
        """Return what the relay passed on of fragments and detections, camera by camera in order.

        The healer's finds are among it.
        """
        return [
            parse(value)
            for topic in (FRAGMENT_ARRIVED, DETECTION)
            async for value in lag.read(settings, topic)
        ]

    async def _in_fragments(
        self, store: ObjectStore, found: StoredRuns, frames: int, *, from_zero: bool
    ) -> dict[str, int]:
        shown = await in_fragments(store, found)
        counted = count_frames(shown, frames, from_zero=from_zero)
        return {f"fragments_{name}": count for name, count in counted.items()}


_MUST_BE_ZERO = (
    "frames_lost", "frames_doubled", "cameras_out_of_order",
    "fragments_frames_lost", "fragments_frames_doubled", "fragments_cameras_out_of_order",
    "detections_lost", "detections_doubled", "detections_unknown", "detections_out_of_order",
    "detections_lost_underway", "gaps", "given_up",
)  # fmt: skip


def wrong(figures: dict[str, Any]) -> list[str]:
    """Return in words which of the figures are not as they must be."""
    faults = [f"{name} is {figures[name]}" for name in _MUST_BE_ZERO if figures[name]]
    if not figures["frames"] or not figures["detections"]:
        faults.append("nothing was recorded")
    if figures["fsck"] != "clean":
        faults.append(f"fsck: {figures['fsck']}")
    return faults
