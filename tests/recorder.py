"""A recorder of its own: tiny real fragments, PUT and announced as the contract says."""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

from domain.events import FragmentArrived, RunEnded, encode
from domain.identity import fragment_key, new_run_id, run_end_key
from stores.objects import ObjectStore
from stores.queue import Queue
from tests.devices import SigningDevice
from tests.footage import draw_number, encoded

FPS = 5


@lru_cache(maxsize=4_096)
def tiny_fragment(first: int, frames: int, start_pts: int) -> bytes:
    """Return an MPEG-TS of `frames` numbered pictures of 96x64, a keyframe first."""
    shown = (draw_number((first + at) % 65_536, 96, 64) for at in range(frames))
    return encoded(shown, start_pts, fps=FPS, options={"preset": "ultrafast", "bf": "0"})


@dataclass
class Recorder:
    """One run of one camera, recorded faster than it happens."""

    camera: str
    start_ms: int
    duration_ms: int = 2_000
    entropy: bytes = bytes(10)
    run: str = ""
    device: SigningDevice | None = None
    """Signs all that is sent, and chains the fragments."""
    sent: dict[int, FragmentArrived] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run = self.run or new_run_id(self.start_ms, self.entropy)

    def film(self, seq: int) -> tuple[FragmentArrived, bytes]:
        """Return a fragment's event and bytes, the same each time."""
        frames = self.duration_ms * FPS // 1_000
        start_pts = 90_000 + seq * self.duration_ms * 90
        data = self._data(seq)
        start_ms = self.start_ms + seq * self.duration_ms
        event = FragmentArrived(
            camera=self.camera,
            run=self.run,
            seq=seq,
            start_ms=start_ms,
            duration_ms=self.duration_ms,
            start_pts=start_pts,
            arrived_ms=start_ms,
            closed_ms=start_ms + self.duration_ms,
            frames=frames,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            video_codec="h264",
            width=96,
            height=64,
        )
        return event.with_previous(self._sha256_before(seq)), data

    def _data(self, seq: int) -> bytes:
        frames = self.duration_ms * FPS // 1_000
        return tiny_fragment(seq * frames, frames, 90_000 + seq * self.duration_ms * 90)

    def _sha256_before(self, seq: int) -> str | None:
        if not seq or self.device is None:
            return None
        return hashlib.sha256(self._data(seq - 1)).hexdigest()

    def _sign(self, body: bytes) -> str | None:
        return None if self.device is None else self.device.sign(body)

    def _signed(self, metadata: dict[str, str], body: bytes) -> dict[str, str]:
        signature = self._sign(body)
        return metadata if signature is None else {**metadata, "signature": signature}

    async def put(self, store: ObjectStore, seq: int) -> FragmentArrived:
        """PUT a fragment without saying so."""
        event, data = self.film(seq)
        key = fragment_key(self.camera, self.run, seq)
        metadata = self._signed(event.metadata(), encode(event))
        await store.put_once(key, data, sha256=event.sha256, metadata=metadata)
        self.sent[seq] = event
        return event

    async def record(self, store: ObjectStore, queue: Queue, seq: int) -> None:
        """PUT a fragment and send its notice."""
        event = await self.put(store, seq)
        body = encode(event)
        assert await queue.send([body], [self._sign(body)]) == []

    async def end(
        self, store: ObjectStore, queue: Queue, last_seq: int, reason: str = "camera closed"
    ) -> None:
        """Write the run's end and send it."""
        event = RunEnded(
            camera=self.camera,
            run=self.run,
            ended_ms=self.start_ms + (last_seq + 1) * self.duration_ms,
            last_seq=last_seq,
            reason=reason,
        )
        data = encode(event)
        await store.put_once(
            run_end_key(self.camera, self.run),
            data,
            sha256=hashlib.sha256(data).hexdigest(),
            metadata=self._signed({}, data),
            content_type="application/json",
        )
        assert await queue.send([data], [self._sign(data)]) == []
