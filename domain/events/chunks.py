"""A chunk: decided (due), and made (complete)."""

from typing import Literal

from pydantic import Field

from domain.events.base import DurationMs, Event, Ms, Part, Pts, Reason, Seq, Sha256
from domain.events.fragments import AudioCodec, Keyframe, VideoCodec
from domain.identity import CameraId, RunId

Digest = Field(pattern=r"^[0-9a-f]{32}$", description="of the joined fragments' ids and hashes")
DueReason = Literal["complete", "run-ended", "grace", "idle", "late"]


class FragmentRef(Part):
    """A fragment as the assembler remembers it: enough to find and verify its bytes."""

    seq: Seq
    start_ms: Ms
    duration_ms: DurationMs
    start_pts: Pts
    size_bytes: int = Field(ge=188, le=1 << 32)
    sha256: Sha256


class Gap(Part):
    """Missing time inside a run, and why."""

    from_ms: Ms
    to_ms: Ms
    first_seq: Seq
    last_seq: Seq
    reason: Reason


class VideoForm(Part):
    """What a run's video is like; a camera that changes it starts a new run."""

    video_codec: VideoCodec
    audio_codec: AudioCodec | None = None
    width: int = Field(ge=1, le=16_384, description="pixels")
    height: int = Field(ge=1, le=16_384, description="pixels")


class ChunkDue(Event):
    """A window of a run is to be joined now. For `late`, only the late fragments are named."""

    type: Literal["chunk-due"] = "chunk-due"
    camera: CameraId
    run: RunId
    window_start_ms: Ms = Field(description="start of the window, a multiple of window_ms")
    window_ms: int = Field(ge=1_000, le=3_600_000, description="length of the window")
    reason: DueReason = Field(description="which rule made it due")
    form: VideoForm
    fragments: list[FragmentRef] = Field(min_length=1, max_length=5_000)
    gaps: list[Gap] = Field(default_factory=list, max_length=5_000)

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera


class ManifestFragment(FragmentRef):
    """A fragment's place inside a chunk."""

    offset: int = Field(ge=0, le=1 << 42, description="bytes from the chunk's start")
    frames: int | None = Field(None, ge=1, description="pictures, null where unknown")
    keyframes: list[Keyframe] = Field(
        default_factory=list,
        max_length=1_000,
        description="offsets count from the fragment's start",
    )


class ChunkComplete(Event):
    """A chunk stands in S3. The same JSON is the chunk's manifest."""

    type: Literal["chunk-complete"] = "chunk-complete"
    camera: CameraId
    run: RunId
    window_start_ms: Ms
    window_ms: int = Field(ge=1_000, le=3_600_000)
    revision: int = Field(ge=1, le=1_000_000, description="1 for the first making; newest counts")
    digest: str = Digest
    object_key: str = Field(min_length=1, max_length=1_024, description="S3 key of the bytes")
    size_bytes: int = Field(ge=188, le=1 << 42)
    sha256: Sha256 = Field(description="of the whole chunk")
    start_ms: Ms = Field(description="of its first fragment")
    end_ms: Ms = Field(description="of its last fragment's end, exclusive")
    reason: DueReason
    video_codec: VideoCodec
    audio_codec: AudioCodec | None = None
    width: int = Field(ge=1, le=16_384)
    height: int = Field(ge=1, le=16_384)
    fragments: list[ManifestFragment] = Field(min_length=1, max_length=5_000)
    gaps: list[Gap] = Field(default_factory=list, max_length=5_000)
    joined_ms: Ms = Field(description="UTC when it was first joined")

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera
