"""A chunk: due, complete, or lost."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from domain.events.base import (
    DurationMs,
    Event,
    EventPart,
    FragmentBytes,
    Ms,
    Pixels,
    Pts,
    Reason,
    Seq,
    Sha256,
    WindowMs,
)
from domain.events.fragments import AudioCodec, FragmentArrived, Keyframe, VideoCodec
from domain.identity import CameraId, RunId

Digest = Field(
    pattern=r"^[0-9a-f]{32}$", description="digest of the joined fragments' ids and hashes, hex"
)
DueReason = Literal["complete", "run-ended", "grace", "idle", "late"]


class VideoForm(EventPart):
    """The format of footage: its tracks and their codecs, and the size of the pictures."""

    video_codec: VideoCodec = Field(description="codec of the video stream")
    audio_codec: AudioCodec | None = Field(
        None, description="codec of the audio stream, null without audio"
    )
    width: Pixels = Field(description="width of the pictures")
    height: Pixels = Field(description="height of the pictures")

    @classmethod
    def of(cls, event: FragmentArrived) -> "VideoForm":
        """Return the format of a fragment."""
        return cls(
            video_codec=event.video_codec,
            audio_codec=event.audio_codec,
            width=event.width,
            height=event.height,
        )


class FragmentRef(EventPart):
    """A fragment, as much as is needed to find and verify its bytes."""

    seq: Seq = Field(description="place in the run")
    start_ms: Ms = Field(description="when the first picture was taken, on the run's clock")
    duration_ms: DurationMs = Field(description="up to the next fragment's first picture")
    start_pts: Pts = Field(description="presentation time of the first picture")
    size_bytes: FragmentBytes
    sha256: Sha256 = Field(description="SHA-256 of the fragment's bytes, hex")
    form: VideoForm | None = Field(
        None, description="its format where it is not that of the chunk; only in version 2"
    )

    @classmethod
    def of(cls, event: FragmentArrived) -> "FragmentRef":
        """Return the fragment of an event, without its format."""
        return FragmentRef.model_validate(event.model_dump(include=set(FragmentRef.model_fields)))


class Gap(EventPart):
    """Missing time inside a run, and why."""

    from_ms: Ms = Field(description="end of the footage before it")
    to_ms: Ms = Field(description="start of the footage after it, or the run's end")
    first_seq: Seq = Field(description="first missing fragment")
    last_seq: Seq = Field(description="last missing fragment, inclusive")
    reason: Reason


def _check_version(version: int, fragments: Sequence[FragmentRef]) -> None:
    if version == 1 and any(each.form is not None for each in fragments):
        raise ValueError("a fragment names its form: that needs version 2")


class ChunkDue(Event):
    """A window of a run is to be joined now. With reason `late` it has only the late fragments."""

    type: Literal["chunk-due"] = "chunk-due"
    version: Literal[1, 2] = Field(  # type: ignore[assignment]
        1, description="version of this event's format; 2 where a fragment names its form"
    )
    camera: CameraId
    run: RunId
    window_start_ms: Ms = Field(description="start of the window, a multiple of window_ms")
    window_ms: WindowMs
    reason: DueReason = Field(
        description="which rule made it due; complete and run-ended are proof"
    )
    form: VideoForm = Field(description="format of all fragments that name no other")
    fragments: list[FragmentRef] = Field(
        min_length=1, max_length=5_000, description="fragments to join, ascending by seq"
    )
    gaps: list[Gap] = Field(
        default_factory=list,
        max_length=5_000,
        description="missing fragments, each seq reported once",
    )

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera

    @model_validator(mode="after")
    def _names_forms_in_version_2(self) -> Self:
        _check_version(self.version, self.fragments)
        return self


class ManifestFragment(FragmentRef):
    """A fragment inside a chunk."""

    offset: int = Field(
        ge=0,
        le=1 << 42,
        description="distance from the chunk's start",
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
    """A chunk is stored in S3. The same JSON is the chunk's manifest."""

    type: Literal["chunk-complete"] = "chunk-complete"
    version: Literal[1, 2] = Field(  # type: ignore[assignment]
        1, description="version of this event's format; 2 where a fragment names its form"
    )
    camera: CameraId
    run: RunId
    window_start_ms: Ms = Field(description="start of the window, a multiple of window_ms")
    window_ms: WindowMs
    revision: int = Field(
        ge=1,
        le=1_000_000,
        description="1 for the first version of the chunk; the highest is current",
    )
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
    video_codec: VideoCodec = Field(description="codec of the video stream, of its last fragment")
    audio_codec: AudioCodec | None = Field(
        None, description="codec of the audio stream, null without audio, of its last fragment"
    )
    width: Pixels = Field(description="width of the pictures, of its last fragment")
    height: Pixels = Field(description="height of the pictures, of its last fragment")
    fragments: list[ManifestFragment] = Field(
        min_length=1,
        max_length=5_000,
        description="fragments that it holds, in the order of its bytes",
    )
    gaps: list[Gap] = Field(
        default_factory=list,
        max_length=5_000,
        description="fragments that it lacks, each seq reported once",
    )
    joined_ms: Ms = Field(description="when it was first joined")

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera

    @model_validator(mode="after")
    def _names_forms_in_version_2(self) -> Self:
        _check_version(self.version, self.fragments)
        return self


class WindowLost(Event):
    """None of a window's fragments could be joined: they cannot be played, and there is no chunk.

    A fragment that arrives later, or is readable later, still becomes a chunk.
    """

    type: Literal["window-lost"] = "window-lost"
    camera: CameraId
    run: RunId
    window_start_ms: Ms = Field(description="start of the window, a multiple of window_ms")
    window_ms: WindowMs
    gaps: list[Gap] = Field(
        min_length=1, max_length=5_000, description="lost fragments and why, each seq reported once"
    )
    lost_ms: Ms = Field(description="when the joiner found it")

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera
