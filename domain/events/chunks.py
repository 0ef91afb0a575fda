"""A chunk: decided (due), and made (complete)."""

from typing import Literal

from pydantic import Field

from domain.events.base import (
    DurationMs,
    Event,
    FragmentBytes,
    Ms,
    Part,
    Pixels,
    Pts,
    Reason,
    Seq,
    Sha256,
    WindowMs,
)
from domain.events.fragments import AudioCodec, Keyframe, VideoCodec
from domain.identity import CameraId, RunId

Digest = Field(
    pattern=r"^[0-9a-f]{32}$", description="of the joined fragments' ids and hashes, hex"
)
DueReason = Literal["complete", "run-ended", "grace", "idle", "late"]


class FragmentRef(Part):
    """A fragment as the assembler remembers it: enough to find and verify its bytes."""

    seq: Seq = Field(description="place in the run")
    start_ms: Ms = Field(description="when the first picture was taken, on the run's clock")
    duration_ms: DurationMs = Field(description="up to the next fragment's first picture")
    start_pts: Pts = Field(description="presentation time of the first picture")
    size_bytes: FragmentBytes
    sha256: Sha256 = Field(description="SHA-256 of the fragment's bytes, hex")


class Gap(Part):
    """Missing time inside a run, and why."""

    from_ms: Ms = Field(description="end of the footage before it")
    to_ms: Ms = Field(description="start of the footage after it, or the run's end")
    first_seq: Seq = Field(description="first missing fragment")
    last_seq: Seq = Field(description="last missing fragment, inclusive")
    reason: Reason


class VideoForm(Part):
    """What a run's video is like; a camera that changes it starts a new run."""

    video_codec: VideoCodec = Field(description="codec of the video stream")
    audio_codec: AudioCodec | None = Field(
        None, description="codec of the audio stream, null without audio"
    )
    width: Pixels = Field(description="width of the pictures")
    height: Pixels = Field(description="height of the pictures")


class ChunkDue(Event):
    """A window of a run is to be joined now. For `late`, only the late fragments are named."""

    type: Literal["chunk-due"] = "chunk-due"
    camera: CameraId
    run: RunId
    window_start_ms: Ms = Field(description="start of the window, a multiple of window_ms")
    window_ms: WindowMs
    reason: DueReason = Field(description="which rule made it due; complete, run-ended: proof")
    form: VideoForm = Field(description="what the run's video is like")
    fragments: list[FragmentRef] = Field(
        min_length=1, max_length=5_000, description="what is to be joined, ascending by seq"
    )
    gaps: list[Gap] = Field(
        default_factory=list, max_length=5_000, description="what is missing, each seq told once"
    )

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera


class ManifestFragment(FragmentRef):
    """A fragment's place inside a chunk."""

    offset: int = Field(
        ge=0,
        le=1 << 42,
        description="from the chunk's start",
        json_schema_extra={"unit": "bytes"},
    )
    frames: int | None = Field(
        None, ge=1, le=1_000_000, description="video pictures, null where unknown"
    )
    keyframes: list[Keyframe] = Field(
        default_factory=list,
        max_length=1_000,
        description="where decoding can start; offsets count from the fragment's start",
    )


class ChunkComplete(Event):
    """A chunk stands in S3. The same JSON is the chunk's manifest."""

    type: Literal["chunk-complete"] = "chunk-complete"
    camera: CameraId
    run: RunId
    window_start_ms: Ms = Field(description="start of the window, a multiple of window_ms")
    window_ms: WindowMs
    revision: int = Field(ge=1, le=1_000_000, description="1 for the first making; newest counts")
    digest: str = Digest
    object_key: str = Field(min_length=1, max_length=1_024, description="S3 key of the bytes")
    size_bytes: int = Field(
        ge=188,
        le=1 << 42,
        description="size of the chunk's object",
        json_schema_extra={"unit": "bytes"},
    )
    sha256: Sha256 = Field(description="SHA-256 of the chunk's bytes, hex")
    start_ms: Ms = Field(description="start of its first fragment")
    end_ms: Ms = Field(description="end of its last fragment, exclusive")
    reason: DueReason = Field(description="which rule made this revision due")
    video_codec: VideoCodec = Field(description="codec of the video stream")
    audio_codec: AudioCodec | None = Field(
        None, description="codec of the audio stream, null without audio"
    )
    width: Pixels = Field(description="width of the pictures")
    height: Pixels = Field(description="height of the pictures")
    fragments: list[ManifestFragment] = Field(
        min_length=1, max_length=5_000, description="what it is made of, in the order of its bytes"
    )
    gaps: list[Gap] = Field(
        default_factory=list, max_length=5_000, description="what it lacks, each seq told once"
    )
    joined_ms: Ms = Field(description="when it was first joined")

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera


class WindowLost(Event):
    """None of a window's fragments could be joined: they cannot be played, and no chunk stands.

    What arrives later, or is asked for again once its bytes stand, still becomes a chunk.
    """

    type: Literal["window-lost"] = "window-lost"
    camera: CameraId
    run: RunId
    window_start_ms: Ms = Field(description="start of the window, a multiple of window_ms")
    window_ms: WindowMs
    gaps: list[Gap] = Field(
        min_length=1, max_length=5_000, description="what is lost and why, each seq told once"
    )
    lost_ms: Ms = Field(description="when it was found out")

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera
