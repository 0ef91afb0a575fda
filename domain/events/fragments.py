"""The events of a recorder: a run started, a fragment is stored in S3, a run ended."""

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
    Ranges,
    Reason,
    Seq,
    Sha256,
)
from domain.identity import CameraId, RunId

VideoCodec = Literal["h264", "hevc"]
AudioCodec = Literal["aac", "mp2", "mp3", "ac3", "eac3", "opus"]


class Keyframe(EventPart):
    """Where a decoder can start inside a fragment."""

    pts: Pts = Field(description="presentation time of the picture")
    offset: int = Field(
        ge=0,
        le=1 << 40,
        description="distance from the fragment's start to the picture's first TS packet",
        json_schema_extra={"unit": "bytes"},
    )
    size: int = Field(
        ge=0,
        le=1 << 32,
        description="distance from there to the end of the picture's packets",
        json_schema_extra={"unit": "bytes"},
    )


class FragmentArrived(Event):
    """A fragment is stored in S3, complete, under the key of its camera, run and seq."""

    type: Literal["fragment-arrived"] = "fragment-arrived"
    version: Literal[1, 2] = Field(  # type: ignore[assignment]
        1, description="version of this event's format; 2 where it names prev_sha256"
    )
    camera: CameraId
    run: RunId
    seq: Seq = Field(description="place in the run, from 0, without holes at the recorder")
    start_ms: Ms = Field(description="when the first picture was taken, on the run's clock")
    duration_ms: DurationMs = Field(description="up to the next fragment's first picture")
    start_pts: Pts = Field(description="presentation time of the first picture")
    arrived_ms: Ms = Field(description="edge's clock when the first packet arrived")
    closed_ms: Ms = Field(description="edge's clock when the fragment was closed")
    frames: int = Field(ge=1, le=1_000_000, description="video pictures in the fragment")
    size_bytes: FragmentBytes
    sha256: Sha256 = Field(description="SHA-256 of the object's bytes, hex")
    prev_sha256: Sha256 | None = Field(
        None,
        description="SHA-256 of the fragment before it in the run, hex, whether that was sent or "
        "not; only in version 2; absent: the first of its run, or unknown",
    )
    video_codec: VideoCodec = Field(description="codec of the video stream")
    audio_codec: AudioCodec | None = Field(
        None, description="codec of the audio stream, null without audio"
    )
    width: Pixels = Field(description="width of the pictures")
    height: Pixels = Field(description="height of the pictures")
    keyframes: list[Keyframe] | None = Field(
        None,
        max_length=1_000,
        description="where decoding can start; null: unknown, the bytes show it too",
    )

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera

    @property
    def end_ms(self) -> int:
        """UTC of the end, exclusive."""
        return self.start_ms + self.duration_ms

    def metadata(self) -> dict[str, str]:
        """Return the object's user metadata: all fields of the event but type and keyframes."""
        fields = self.model_dump(exclude={"keyframes", "type"}, exclude_none=True)
        return {name.replace("_", "-"): str(value) for name, value in fields.items()}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> Self:
        """Rebuild the event from an object's metadata; raises pydantic's error if it is invalid."""
        fields: dict[str, object] = {k.replace("-", "_"): v for k, v in metadata.items()}
        if fields.get("version") in ("1", "2"):
            fields["version"] = int(str(fields["version"]))
        return cls.model_validate(fields)

    @property
    def without_keyframes(self) -> Self:
        """What the object's metadata say: a device signs this for the object."""
        return self if self.keyframes is None else self.model_copy(update={"keyframes": None})

    def with_previous(self, prev_sha256: str | None) -> Self:
        """Return the event as version 2, with the hash of the fragment before; None: version 1."""
        if prev_sha256 == self.prev_sha256:
            return self
        version = 1 if prev_sha256 is None else 2
        return self.model_copy(update={"version": version, "prev_sha256": prev_sha256})

    @model_validator(mode="after")
    def _names_previous_in_version_2(self) -> Self:
        if self.version == 1 and self.prev_sha256 is not None:
            raise ValueError("prev_sha256 needs version 2")
        return self


class RunStarted(Event):
    """A capture session began."""

    type: Literal["run-started"] = "run-started"
    camera: CameraId
    run: RunId
    started_ms: Ms = Field(description="when the first picture was taken")
    edge: str = Field(min_length=1, max_length=100, description="name of the recording device")
    stream: Literal["main", "sub"] = Field("main", description="which feed of the camera")

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera


class RunEnded(Event):
    """A capture session ended; stored before in S3 as the run's end.json."""

    type: Literal["run-ended"] = "run-ended"
    camera: CameraId
    run: RunId
    ended_ms: Ms = Field(description="end of the last fragment, or the time of the failure")
    last_seq: int = Field(
        ge=-1, le=99_999_999, description="seq of the last fragment; -1: the run has none"
    )
    reason: Reason = Field(description="why, in words fit for the timeline")
    given_up: Ranges = Field(
        default_factory=list,
        description="(first, last) of the seqs that the spool gave up: they will never be sent",
    )

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera

    @model_validator(mode="after")
    def _given_up_within(self) -> Self:
        previous = -1
        for first, last in self.given_up:
            if not previous < first <= last <= self.last_seq:
                raise ValueError("given_up must ascend within 0..last_seq")
            previous = last
        return self
