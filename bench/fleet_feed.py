"""What the cameras of `vigil bench fleet` say, made cheaply: the machine is for the workers."""

import asyncio
import time
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer

from domain.chunks import digest_of
from domain.events import ChunkComplete, Detection, FragmentArrived, encode, parse
from domain.events.chunks import FragmentRef, ManifestFragment
from domain.events.detections import DetectionFrame, FoundObject
from domain.identity import chunk_key, new_run_id
from domain.times import utc_ms
from streams.topics import CHUNK_COMPLETE, DETECTION, FRAGMENT_ARRIVED

FRAGMENT_MS = 2_000
WINDOW_MS = 60_000
EACH = WINDOW_MS // FRAGMENT_MS
"""Fragments of a chunk."""
OBJECTS = 2
STEP_S = 0.1
_SHA256 = "ab" * 32
_SIZE = 1_003_920


@dataclass
class Feeder:
    """Sends what the cameras would; each has its own place in the two seconds.

    A window's chunk is announced some time in the minute after it, as joiners would do it. Nothing
    is joined here. Fragments and detections are made from ones that are valid, by replacing what
    differs.
    """

    cameras: list[str]
    producer: AIOKafkaProducer
    rate: float = 1.0
    """Times real time."""
    sent: int = 0
    late_s: float = 0.0
    _seqs: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        now_ms = utc_ms()
        self._start_ms = (now_ms - 3_600_000) // WINDOW_MS * WINDOW_MS
        self._runs = [
            new_run_id(self._start_ms, number.to_bytes(10, "big"))
            for number in range(len(self.cameras))
        ]
        self._seqs = [0] * len(self.cameras)
        self._fragment, self._detection = _templates()
        parse(self.fragment_of(0))
        parse(self.detection_of(0, 0))

    def fragment_of(self, number: int) -> bytes:
        """Return the next fragment of a camera."""
        seq = self._seqs[number]
        start_ms = self._start_ms + seq * FRAGMENT_MS
        return self._fragment % (
            self.cameras[number].encode(), self._runs[number].encode(), seq, start_ms,
            seq * FRAGMENT_MS * 90, start_ms, start_ms + FRAGMENT_MS,
        )  # fmt: skip

    def detection_of(self, number: int, half: int) -> bytes:
        """Return what was seen in the first (0) or second (1) half of it."""
        at = self._seqs[number] * FRAGMENT_MS + half * FRAGMENT_MS // 2
        return self._detection % (
            self.cameras[number].encode(), self._runs[number].encode(), at * 90, self._start_ms + at
        )  # fmt: skip

    def chunk_of(self, number: int, first_seq: int) -> ChunkComplete:
        """Return the chunk of a camera's window that begins with this fragment."""
        camera, run = self.cameras[number], self._runs[number]
        start_ms = self._start_ms + first_seq * FRAGMENT_MS
        refs = [
            FragmentRef(
                seq=seq, start_ms=self._start_ms + seq * FRAGMENT_MS, duration_ms=FRAGMENT_MS,
                start_pts=seq * FRAGMENT_MS * 90, size_bytes=_SIZE, sha256=_SHA256,
            )
            for seq in range(first_seq, first_seq + EACH)
        ]  # fmt: skip
        digest = digest_of(camera, run, refs)
        return ChunkComplete(
            camera=camera, run=run, window_start_ms=start_ms, window_ms=WINDOW_MS, revision=1,
            digest=digest, object_key=chunk_key(camera, run, start_ms, WINDOW_MS, digest),
            size_bytes=EACH * _SIZE, sha256=_SHA256, start_ms=start_ms,
            end_ms=start_ms + WINDOW_MS, reason="complete", video_codec="h264", width=1_920,
            height=1_080, joined_ms=start_ms + WINDOW_MS + 5_000,
            fragments=[
                ManifestFragment(**ref.model_dump(), offset=at * _SIZE, frames=50)
                for at, ref in enumerate(refs)
            ],
        )  # fmt: skip

    async def feed(self) -> None:
        """Feed forever."""
        slots = round(FRAGMENT_MS / 1_000 / STEP_S)
        step = 0
        due_s = time.monotonic()
        while True:
            for half in (0, 1):
                for number in range((step + half * slots // 2) % slots, len(self.cameras), slots):
                    await self._send(number, half)
            step += 1
            due_s += STEP_S / self.rate
            pause_s = due_s - time.monotonic()
            self.late_s = max(0.0, -pause_s)
            await asyncio.sleep(max(0.0, pause_s))

    async def _send(self, number: int, half: int) -> None:
        key = self.cameras[number].encode()
        await self.producer.send(DETECTION.full_name, self.detection_of(number, half), key=key)
        self.sent += 1
        if half == 0:
            await self.producer.send(FRAGMENT_ARRIVED.full_name, self.fragment_of(number), key=key)
            self.sent += 1
            return
        self._seqs[number] += 1
        windows, at = divmod(self._seqs[number], EACH)
        if windows and at == number % EACH:
            chunk = encode(self.chunk_of(number, (windows - 1) * EACH))
            await self.producer.send(CHUNK_COMPLETE.full_name, chunk, key=key)
            self.sent += 1


def _templates() -> tuple[bytes, bytes]:
    """Return a fragment and a detection in which what differs is left open."""
    camera, run = "bench/site-0/cam-0", new_run_id(1_790_000_000_001, bytes(10))
    fragment = FragmentArrived(
        camera=camera, run=run, seq=11_111, start_ms=22_222, duration_ms=FRAGMENT_MS,
        start_pts=33_333, arrived_ms=44_444, closed_ms=55_555, frames=50, size_bytes=_SIZE,
        sha256=_SHA256, video_codec="h264", width=1_920, height=1_080,
    )  # fmt: skip
    frame = DetectionFrame(
        pts=66_666,
        at_ms=77_777,
        objects=[
            FoundObject(label="person", score=0.9, box=(0.1, 0.2, 0.1, 0.3), track=f"t-{at}")
            for at in range(OBJECTS)
        ],
    )
    detection = Detection(camera=camera, run=run, model="people", model_version="1", frames=[frame])
    made = []
    for event, numbers in ((fragment, (11_111, 22_222, 33_333, 44_444, 55_555)),
                           (detection, (66_666, 77_777))):  # fmt: skip
        text = encode(event).replace(camera.encode(), b"%s").replace(run.encode(), b"%s")
        for number in numbers:
            text = text.replace(str(number).encode(), b"%d")
        made.append(text)
    return made[0], made[1]
