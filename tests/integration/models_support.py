"""Footage with people in it, a detector that costs nothing, and replays without a command."""

import hashlib
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from agents.replay.detections import DetectionReplay
from agents.replay.progress import ProgressDisplay
from domain.events import Detection, Event, FragmentArrived
from domain.models import Version, whole_minutes
from stores.catalog import index_detections
from stores.catalog import model_replays as book
from stores.catalog.model_replays import ModelReplaySpec, Replay
from tests.footage import encoded
from tests.integration.consistency_support import Place, now_ms
from tests.recorder import Recorder
from vision.detector import BgrImage, DetectedObject, Detector

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
FPS = 10


@lru_cache(maxsize=1)
def people(count: int) -> tuple[np.ndarray, ...]:
    """Return the first pictures of the footage, blue green red."""
    with av.open(str(VTEST)) as clip:
        decoded = (frame.to_ndarray(format="bgr24") for frame in clip.decode(video=0))
        return tuple(picture for _, picture in zip(range(count), decoded, strict=False))


class Yard(Recorder):
    """Records the footage, 10 pictures a second, a fragment of 2 s from every keyframe on."""

    def film(self, seq: int) -> tuple[FragmentArrived, bytes]:
        event, _ = super().film(0)
        frames = self.duration_ms * FPS // 1_000
        shown = people(120)[seq * frames : (seq + 1) * frames]
        start_pts = 90_000 + seq * self.duration_ms * 90
        data = _encoded(shown, start_pts)
        start_ms = self.start_ms + seq * self.duration_ms
        changed = {
            "seq": seq,
            "start_ms": start_ms,
            "start_pts": start_pts,
            "arrived_ms": start_ms,
            "closed_ms": start_ms + self.duration_ms,
            "frames": frames,
            "size_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "width": 768,
            "height": 576,
        }
        return event.model_copy(update=changed), data


def _encoded(shown: Sequence[np.ndarray], start_pts: int) -> bytes:
    options = {"preset": "veryfast", "crf": "18", "bf": "2", "threads": "1"}
    return encoded(shown, start_pts, fps=FPS, pixels="bgr24", options=options)


@dataclass
class Counting:
    """A detector that finds in each picture something that follows from it alone."""

    model: str = "counting"
    model_version: str = "1"
    provider: str = "none"
    batch: int = 3
    seen: int = 0

    def detect(self, pictures: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        assert len(pictures) <= self.batch
        self.seen += len(pictures)
        return [self._found(zlib.crc32(picture.tobytes())) for picture in pictures]

    def _found(self, check: int) -> list[DetectedObject]:
        score = round(check % 97 / 97, 4)
        return [DetectedObject("thing", score, (0.1, 0.1, 0.5, 0.5))] * (check % 3)


class Died(BaseException):
    """The process ends here, as by kill -9."""


@dataclass
class Stream:
    """A fake of Kafka and the index agent: what is sent is indexed at once, or kept."""

    at: Place
    dies_at: int = -1
    steps: int = 0
    held_back: bool = False
    events: list[Detection] = field(default_factory=list)

    def step(self) -> None:
        if self.steps == self.dies_at:
            raise Died
        self.steps += 1

    async def send(self, event: Event, *, partition: int | None = None) -> tuple[int, int]:
        assert isinstance(event, Detection)
        self.step()
        self.events.append(event)
        if not self.held_back:
            await index_detections(self.at.catalog, [event])
        self.step()
        return 0, len(self.events) - 1


def look_of(version: Version, from_ms: int, to_ms: int, rate_mfps: int | None = 2_000,
            *, gated: bool = False) -> ModelReplaySpec:  # fmt: skip
    return ModelReplaySpec(version, *whole_minutes(from_ms, to_ms), rate_mfps, gated)


async def replayed(
    at: Place,
    look: ModelReplaySpec,
    *,
    detector: Detector | None = None,
    stream: Stream | None = None,
) -> tuple[Replay, DetectionReplay]:
    """Replay the camera as the command does; return the replay as it is then."""
    begun = await book.begin(at.catalog, [at.camera], look, "tests", now_ms())
    with ProgressDisplay("detections", "chunks", stream=io.StringIO()) as progress:
        replayer = DetectionReplay(
            at.store,
            at.catalog,
            stream or Stream(at),
            detector or Counting(),
            progress,
            who="tests",
            clock_ms=now_ms,
        )
        await replayer.run(begun)
    (known,) = [each for each in await book.list_replays(at.catalog) if each.id == begun[0].id]
    return known, replayer


async def found(at: Place, version: Version, columns: str = "*") -> list[tuple[object, ...]]:
    """Return a version's rows but for the version itself."""
    async with at.catalog.transaction() as connection:
        rows = await connection.fetch(
            f"SELECT {columns} FROM detections WHERE camera = $1 AND model = $2 "
            "AND model_version = $3 ORDER BY at_ms, run, pts, index",
            *(at.camera, *version),
        )
    return [
        tuple(value for name, value in row.items() if name not in ("model", "model_version"))
        for row in rows
    ]
