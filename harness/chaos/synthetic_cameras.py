"""Synthetic cameras: they put runs of tiny fragments into S3 and announce them.

Each camera records run after run. What it PUT is remembered: all of it must be in chunks
at the end. How its notices travel is up to its mischief:

    notice   0  1  2  3  4  5        as recorded
    arrives  0  2  1  3  3  5  …  4  swapped, twice, late by up to two windows, or never
"""

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from domain.errors import StoreError
from domain.events import Detection, Event, FragmentArrived, RunEnded, RunStarted, encode
from domain.events.detections import DetectionFrame, FoundObject
from domain.identity import fragment_key, new_run_id, run_end_key
from harness.event_feeder import Entrance
from harness.footage import film
from stores.objects import ObjectStore
from streams.topics import FRAGMENT_ARRIVED

DURATION_MS = 2_000
RUN_LENGTHS = (8, 90)
"""Fragments in a run, least and most."""
_PUT_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Chances:
    """How often each thing happens to a notice."""

    lost: float = 0.02
    twice: float = 0.04
    swapped: float = 0.05
    late: float = 0.03
    end_lost: float = 0.1
    poison: float = 0.01
    detection: float = 0.3


CALM = Chances(0, 0, 0, 0, 0, 0, 0.3)


@dataclass
class Tally:
    """What all cameras did."""

    fragments: int = 0
    runs: int = 0
    lost: int = 0
    twice: int = 0
    swapped: int = 0
    late: int = 0
    ends_lost: int = 0
    poison: int = 0
    detections: int = 0


@dataclass
class Run:
    """One run and the starts of its fragments in S3."""

    camera: str
    run: str
    start_ms: int
    put: set[int] = field(default_factory=set)

    def film(self, seq: int) -> tuple[FragmentArrived, bytes]:
        """Return a fragment of it, the same each time."""
        start_ms = self.start_ms + seq * DURATION_MS
        return film(self.camera, self.run, seq, start_ms=start_ms, duration_ms=DURATION_MS)


@dataclass
class SyntheticCamera:
    """Records until it is stopped; `pace_s` is the wall time of a fragment."""

    camera: str
    dice: random.Random
    start_ms: int
    pace_s: float
    window_s: float
    """Wall time of a window: the unit of delays."""
    chances: Chances
    store: ObjectStore
    entrance: Entrance
    tally: Tally
    runs: list[Run] = field(default_factory=list)

    async def record(self, stop: asyncio.Event) -> None:
        """Record run after run; the last one ends when `stop` is set."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self.dice.random() * self.pace_s
        at_ms = self.start_ms
        while not stop.is_set():
            run = Run(self.camera, new_run_id(at_ms, self.dice.randbytes(10)), at_ms)
            self.runs.append(run)
            self.tally.runs += 1
            self._send(RunStarted(camera=run.camera, run=run.run, started_ms=at_ms, edge="bench"))
            length = self.dice.randint(*RUN_LENGTHS)
            seq = 0
            while seq < length and not (stop.is_set() and seq):
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                due_s = max(due_s + self.pace_s, loop.time() - 5 * self.pace_s)
                await self._fragment(run, seq)
                seq += 1
            at_ms += seq * DURATION_MS
            await self._end(run, seq, at_ms)
            at_ms += self.dice.randint(100, 5_000)

    async def _fragment(self, run: Run, seq: int) -> None:
        event, data = run.film(seq)
        await self._put(fragment_key(run.camera, run.run, seq), data, event.metadata())
        run.put.add(seq)
        self.tally.fragments += 1
        self._notice(event)
        if self.dice.random() < self.chances.detection:
            self._send(_detection(event))
            self.tally.detections += 1
        if self.dice.random() < self.chances.poison:
            self._poison(event)

    async def _end(self, run: Run, count: int, at_ms: int) -> None:
        end = RunEnded(
            camera=run.camera, run=run.run, ended_ms=at_ms, last_seq=count - 1, reason="bench"
        )
        await self._put(run_end_key(run.camera, run.run), encode(end), {}, "application/json")
        if self.dice.random() < self.chances.end_lost:
            self.tally.ends_lost += 1
        else:
            self._send(end)

    async def _put(
        self, key: str, data: bytes, metadata: dict[str, str], kind: str = "video/mp2t"
    ) -> None:
        sha256 = hashlib.sha256(data).hexdigest()
        while True:
            try:
                await self.store.put_once(
                    key, data, sha256=sha256, metadata=metadata, content_type=kind
                )
                return
            except StoreError:
                await asyncio.sleep(_PUT_AGAIN_S)

    # -- how notices travel

    def _notice(self, event: FragmentArrived) -> None:
        draw = self.dice.random()
        for name, chance in (
            ("lost", self.chances.lost),
            ("twice", self.chances.twice),
            ("swapped", self.chances.swapped),
            ("late", self.chances.late),
        ):
            if draw < chance:
                setattr(self.tally, name, getattr(self.tally, name) + 1)
                self._travel(event, name)
                return
            draw -= chance
        self._send(event)

    def _travel(self, event: FragmentArrived, how: str) -> None:
        match how:
            case "twice":
                self._send(event)
                self._later(2 * self.window_s * self.dice.random(), event)
            case "swapped":
                self._later(1.2 * self.pace_s, event)
            case "late":
                self._later(2 * self.window_s * self.dice.random(), event)

    def _later(self, delay_s: float, event: Event) -> None:
        asyncio.get_running_loop().call_later(delay_s, self._send, event)

    def _send(self, event: Event) -> None:
        self.entrance.send(event)

    def _poison(self, event: FragmentArrived) -> None:
        self.tally.poison += 1
        body = encode(event)
        kinds: list[Callable[[], None]] = [
            lambda: self.entrance.send_raw(b'{"type": "fragment-arrived", "version": 7}'),
            lambda: self.entrance.send_raw(body.replace(b'"camera":"', b'"camera":"who/is/this/')),
            lambda: self._to_kafka(b"\xff{ no json", event.camera),
            lambda: self._to_kafka(body, "another/key/altogether"),
            lambda: self._to_kafka(body.replace(b'"seq":', b'"seq":-'), event.camera),
        ]
        self.dice.choice(kinds)()

    def _to_kafka(self, body: bytes, key: str) -> None:
        self.entrance.send_raw(body, topic=FRAGMENT_ARRIVED.full_name, key=key.encode())


def _detection(event: FragmentArrived) -> Detection:
    found = FoundObject(label="person", score=0.9, box=(0.1, 0.1, 0.2, 0.2), track=None)
    frame = DetectionFrame(pts=event.start_pts, at_ms=event.start_ms, objects=[found])
    return Detection(
        camera=event.camera, run=event.run, model="bench", model_version="1", frames=[frame]
    )
