"""What must hold after the outage: every picture once and in order, every detection answered.

pictures     in the chunks, as the API hands them out, and in the fragments in S3
detections   put into the outbox ──► the detection topic ──► what the API answers
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import aiohttp

from domain.errors import VigilError
from domain.events import AnyEvent, Detection
from harness.edge_cloud import StoredRuns
from harness.footage import numbers
from stores.objects import ObjectStore

Reported = Mapping[tuple[str, str], Sequence[tuple[int, int]]]
"""(camera, run) -> (PTS, UTC ms) of the detections given to the outbox, in order."""
Seen = tuple[str, int, int]
"""Run, PTS, UTC ms of a detection that was answered."""
_PAGE = 1_000


class Api:
    """What the API answers of cameras, within one stretch of time (UTC, ms)."""

    def __init__(self, session: aiohttp.ClientSession, url: str, from_ms: int, to_ms: int) -> None:
        """`session` carries the key."""
        self._session, self._url = session, url
        self._range = {"from": str(from_ms), "to": str(to_ms)}

    async def detections(self, camera: str) -> list[Seen]:
        """Return all detections of a camera, page by page, in the order of the answers."""
        found: list[Seen] = []
        query = self._range | {"limit": str(_PAGE)}
        while True:
            page = await self._json(f"/api/v1/cameras/{camera}/detections", query)
            found += [(one["run"], one["pts"], one["at_ms"]) for one in page["detections"]]
            if page["next"] is None:
                return found
            query |= {"cursor": page["next"]}

    async def shown(self, camera: str) -> list[list[int]]:
        """Return the numbers of the pictures in a camera's chunks: run by run, in order of time."""
        chunks = sorted(
            (await self._listed(camera))["chunks"], key=lambda one: (one["run"], one["start_ms"])
        )
        by_run: dict[str, list[int]] = {}
        for chunk in chunks:
            async with self._session.get(self._url + chunk["url"]) as answer:
                data = await answer.read()
                if answer.status != 200:
                    raise VigilError(f"the API answered {answer.status} to {chunk['url']}.")
            by_run.setdefault(chunk["run"], []).extend(await asyncio.to_thread(numbers, data))
        return list(by_run.values())

    async def gaps(self, camera: str) -> list[str]:
        """Return in words what the API says is missing of a camera, first picture to last."""
        chunks = (await self._listed(camera))["chunks"]
        if not chunks:
            return [f"{camera} has no footage"]
        recorded = {
            "from": str(min(one["start_ms"] for one in chunks)),
            "to": str(max(one["end_ms"] for one in chunks)),
        }
        gaps = (await self._listed(camera, recorded))["gaps"]
        return [f"{camera} has a gap: {gap}" for gap in gaps]

    async def _listed(self, camera: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        query = {**(query or self._range), "limit": "5000"}
        found = await self._json(f"/api/v1/cameras/{camera}/chunks", query)
        if found["next"] is not None:
            raise VigilError(f"{camera} has more chunks than one page.")
        return found

    async def _json(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        async with self._session.get(self._url + path, params=query) as answer:
            if answer.status != 200:
                raise VigilError(f"the API answered {answer.status} to {path}.")
            body: dict[str, Any] = await answer.json()
            return body


async def in_fragments(store: ObjectStore, found: StoredRuns) -> dict[str, list[list[int]]]:
    """Return the numbers of the pictures in S3: camera -> run, in order of time -> numbers."""
    shown: dict[str, list[list[int]]] = {}
    for (camera, run), stored_run in sorted(found.items()):
        data = [
            await store.get(f"fragments/{camera}/{run}/{seq:08d}.ts")
            for seq in sorted(stored_run.fragments)
        ]
        pictures = await asyncio.to_thread(numbers, b"".join(data))
        shown.setdefault(camera, []).append(pictures)
    return shown


def count_frames(
    shown: Mapping[str, list[list[int]]], frames: int, *, from_zero: bool
) -> dict[str, int]:
    """Compare the pictures' numbers with 0..frames-1; served by RTSP, with what the first run
    began with, because each new connection plays from the start.
    """
    total = lost = doubled = disordered = 0
    for runs in shown.values():
        counted = [number for run in (runs if from_zero else runs[:1]) for number in run]
        unique = set(counted)
        first, last = min(unique, default=0), max(unique, default=frames - 1)
        wanted = set(range(frames)) if from_zero else set(range(first, last + 1))
        total += len(counted)
        lost += len(wanted - unique)
        doubled += len(counted) - len(unique)
        disordered += counted != sorted(counted)
    return {
        "frames": total, "frames_lost": lost, "frames_doubled": doubled,
        "cameras_out_of_order": disordered,
    }  # fmt: skip


def count_underway(events: Sequence[AnyEvent], reported: Reported) -> dict[str, int]:
    """Compare detections in their topic with what was put into the outbox.

    They may come twice and out of order: who asks for them must not notice.
    """
    arrived: dict[tuple[str, str], list[int]] = {}
    for event in events:
        if isinstance(event, Detection):
            arrived.setdefault((event.camera, event.run), []).append(event.frames[0].pts)
    lost = again = disordered = 0
    for run_key in set(arrived) | set(reported):
        here, wanted = arrived.get(run_key, []), {pts for pts, _ in reported.get(run_key, [])}
        first = list(dict.fromkeys(here))
        lost += len(wanted - set(here))
        again += len(here) - len(first)
        disordered += sum(one > other for one, other in pairwise(first))
    return {
        "detections_lost_underway": lost, "detections_sent_again": again,
        "detections_out_of_order_underway": disordered,
    }  # fmt: skip


def count_answered(answered: Mapping[str, Sequence[Seen]], reported: Reported) -> dict[str, int]:
    """Compare the detections that the API answers, by camera, with what was put into the outbox.

    A detection whose time differs from what was reported is both lost and unknown.
    """
    wanted: dict[str, set[Seen]] = {camera: set() for camera in answered}
    for (camera, run), seen in reported.items():
        wanted.setdefault(camera, set()).update((run, pts, at_ms) for pts, at_ms in seen)
    lost = unknown = doubled = disordered = 0
    for camera, of_camera in wanted.items():
        here = answered.get(camera, [])
        times = Counter((run, pts) for run, pts, _ in here)
        lost += len(of_camera - set(here))
        unknown += len(set(here) - of_camera)
        doubled += sum(count - 1 for count in times.values())
        disordered += sum(one[2] > other[2] for one, other in pairwise(here))
    return {
        "detections": sum(map(len, reported.values())),
        "detections_answered": sum(map(len, answered.values())),
        "detections_lost": lost, "detections_doubled": doubled, "detections_unknown": unknown,
        "detections_out_of_order": disordered,
    }  # fmt: skip
