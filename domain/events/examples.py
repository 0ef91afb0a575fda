"""One valid event of each type: shown in the reference, read back by the tests.

acme/berlin/gate-1 recorded one run of 2026-11-22T17:33:00Z: fragments 0, 1 and 3, and lost 2.
"""

from domain.chunks import digest_of
from domain.events.base import Event
from domain.events.chunks import (
    ChunkComplete,
    ChunkDue,
    FragmentRef,
    Gap,
    ManifestFragment,
    VideoForm,
    WindowLost,
)
from domain.events.commands import EdgeCommand
from domain.events.control import (
    CameraConfigured,
    DeadLetter,
    DeadLetterMarked,
    Deleted,
    Healed,
    HealRequested,
    Tick,
    WindowsFrom,
)
from domain.events.detections import Detection, DetectionFrame, FoundObject
from domain.events.edge import CameraStatus, Heartbeat, Temperature
from domain.events.fragments import FragmentArrived, Keyframe, RunEnded, RunStarted
from domain.identity import chunk_key

CAMERA = "acme/berlin/gate-1"
RUN = "01a20451-80e0-7c3a-9f41-5d2b8a6e1f07"
START_MS = 1_795_368_780_000
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def _ref(seq: int) -> FragmentRef:
    return FragmentRef(
        seq=seq,
        start_ms=START_MS + seq * 4_000,
        duration_ms=4_000,
        start_pts=seq * 360_000,
        size_bytes=1_003_920,
        sha256=_SHA256,
    )


_REFS = [_ref(0), _ref(1), _ref(3)]
_DIGEST = digest_of(CAMERA, RUN, _REFS)
_GAP = Gap(
    from_ms=START_MS + 8_000,
    to_ms=START_MS + 12_000,
    first_seq=2,
    last_seq=2,
    reason="given up by the edge's spool",
)

_ALL: tuple[Event, ...] = (
    FragmentArrived(
        camera=CAMERA,
        run=RUN,
        seq=0,
        start_ms=START_MS,
        duration_ms=4_000,
        start_pts=0,
        arrived_ms=START_MS + 35,
        closed_ms=START_MS + 4_060,
        frames=100,
        size_bytes=1_003_920,
        sha256=_SHA256,
        video_codec="h264",
        audio_codec="aac",
        width=1_920,
        height=1_080,
        keyframes=[
            Keyframe(pts=0, offset=376, size=61_288),
            Keyframe(pts=180_000, offset=501_396, size=60_160),
        ],
    ),
    RunStarted(camera=CAMERA, run=RUN, started_ms=START_MS, edge="berlin-edge-1"),
    RunEnded(
        camera=CAMERA,
        run=RUN,
        ended_ms=START_MS + 16_000,
        last_seq=3,
        reason="the camera closed the connection",
        given_up=[(2, 2)],
    ),
    CameraConfigured(
        camera=CAMERA,
        windows=[
            WindowsFrom(from_ms=0, window_ms=60_000),
            WindowsFrom(from_ms=START_MS + 1_020_000, window_ms=30_000),
        ],
        grace_ms=10_000,
        changed_ms=START_MS,
    ),
    HealRequested(
        camera=CAMERA,
        run=RUN,
        window_start_ms=START_MS,
        after_seq=-1,
        before_seq=None,
        known=[(0, 1), (3, 3)],
    ),
    Healed(camera=CAMERA, run=RUN, window_start_ms=START_MS, found=0),
    Tick(partition=3, at_ms=START_MS + 20_000),
    ChunkDue(
        camera=CAMERA,
        run=RUN,
        window_start_ms=START_MS,
        window_ms=60_000,
        reason="run-ended",
        form=VideoForm(video_codec="h264", audio_codec="aac", width=1_920, height=1_080),
        fragments=_REFS,
        gaps=[_GAP],
    ),
    ChunkComplete(
        camera=CAMERA,
        run=RUN,
        window_start_ms=START_MS,
        window_ms=60_000,
        revision=1,
        digest=_DIGEST,
        object_key=chunk_key(CAMERA, RUN, START_MS, 60_000, _DIGEST),
        size_bytes=3 * 1_003_920,
        sha256=_SHA256,
        start_ms=START_MS,
        end_ms=START_MS + 16_000,
        reason="run-ended",
        video_codec="h264",
        audio_codec="aac",
        width=1_920,
        height=1_080,
        fragments=[
            ManifestFragment(
                **each.model_dump(),
                offset=at * 1_003_920,
                frames=100,
                keyframes=[Keyframe(pts=each.start_pts, offset=376, size=61_288)],
            )
            for at, each in enumerate(_REFS)
        ],
        gaps=[_GAP],
        joined_ms=START_MS + 17_250,
    ),
    WindowLost(
        camera=CAMERA,
        run=RUN,
        window_start_ms=START_MS - START_MS % 60_000,
        window_ms=60_000,
        gaps=[_GAP],
        lost_ms=START_MS + 95_000,
    ),
    Detection(
        camera=CAMERA,
        run=RUN,
        model="people",
        model_version="2026.11",
        frames=[
            DetectionFrame(
                pts=18_000,
                at_ms=START_MS + 200,
                objects=[
                    FoundObject(
                        label="person", score=0.93, box=(0.41, 0.22, 0.08, 0.31), track="t-17"
                    )
                ],
            ),
            DetectionFrame(pts=36_000, at_ms=START_MS + 400, objects=[]),
        ],
    ),
    EdgeCommand(
        device="acme/berlin/edge-1",
        id="8d3f0c2b6f5e4a0f9c1d7e6b5a403921",
        kind="snapshot",
        camera=CAMERA,
        sent_ms=START_MS,
        deadline_ms=START_MS + 15_000,
    ),
    Heartbeat(
        site="acme/berlin",
        edge="berlin-edge-1",
        sent_ms=START_MS + 15_000,
        software="0.1.0",
        spool_bytes=4_015_680,
        spool_waiting=1,
        spool_oldest_ms=START_MS + 12_000,
        disk_free_bytes=212_600_000_000,
        disk_state="good",
        disk_since_ms=START_MS - 86_400_000,
        given_up=0,
        clock_state="synchronised",
        clock_error_ms=34,
        temperatures=[Temperature(name="x86_pkg_temp", celsius=54)],
        config_version=7,
        config_state="refused",
        config_detail="version 8 is refused: gate-1 does not record.",
        version=2,
        identity_state="enrolled",
        identity_generation=7,
        identity_renew_ms=START_MS + 36_000_000,
        identity_expires_ms=START_MS + 79_200_000,
        clock_trust="agreed",
        cameras=[CameraStatus(camera=CAMERA, state="recording", since_ms=START_MS)],
    ),
    Deleted(
        camera=CAMERA,
        run=RUN,
        what="fragments",
        first_seq=0,
        last_seq=3,
        reason="their chunk is current and checked",
        deleted_ms=START_MS + 90_000,
    ),
    DeadLetter(
        source="fragment-arrived",
        partition=3,
        offset=4_711,
        message_key=CAMERA,
        reason="fragment-arrived.version: version 2 is not known, this program reads version 1",
        at_ms=START_MS + 5_000,
        original_base64="eyJ0eXBlIjoiZnJhZ21lbnQtYXJyaXZlZCIsInZlcnNpb24iOjJ9",
    ),
    DeadLetterMarked(partition=3, offset=17, did="retried", at_ms=START_MS + 60_000),
)
EXAMPLES: dict[str, Event] = {event.type: event for event in _ALL}
