"""What a recorder says: a run started, a fragment stands in S3, a run ended."""

from typing import Literal, Self

from pydantic import Field, model_validator

from domain.events.base import DurationMs, Event, Ms, Part, Pts, Ranges, Reason, Seq, Sha256
from domain.identity import CameraId, RunId

VideoCodec = Literal["h264", "hevc"]
AudioCodec = Literal["aac", "mp2", "mp3", "ac3", "eac3", "opus"]


class Keyframe(Part):
    """Where a decoder can start inside a fragment."""

    pts: Pts = Field(description="of the picture, 90 kHz, unwrapped")
    offset: int = Field(
        ge=0, le=1 << 40, description="bytes from the fragment's start to the picture's TS packet"
    )
    size: int = Field(ge=0, le=1 << 32, description="bytes to the end of the picture's packets")


class FragmentArrived(Event):
    """A fragment stands in S3, complete, under the key that camera, run and seq give."""

    type: Literal["fragment-arrived"] = "fragment-arrived"
    camera: CameraId
    run: RunId
    seq: Seq = Field(description="place in the run, from 0, without holes at the recorder")
    start_ms: Ms = Field(description="UTC of the first picture shown")
    duration_ms: DurationMs = Field(description="up to the next fragment's first picture")
    start_pts: Pts = Field(description="of the first picture, 90 kHz, unwrapped")
    arrived_ms: Ms = Field(description="edge's UTC when the first packet arrived")
    closed_ms: Ms = Field(description="edge's UTC when the fragment was closed")
    frames: int = Field(ge=1, le=1_000_000, description="video pictures in the fragment")
    size_bytes: int = Field(ge=188, le=1 << 32, description="of the object, whole TS packets")
    sha256: Sha256 = Field(description="of the object's bytes")
    video_codec: VideoCodec = Field(description="codec of the video stream")
    audio_codec: AudioCodec | None = Field(
        None, description="codec of the audio stream, null without audio"
    )
    width: int = Field(ge=1, le=16_384, description="pixels")
    height: int = Field(ge=1, le=16_384, description="pixels")
    keyframes: list[Keyframe] | None = Field(
        None,
        max_length=1_000,
        description="null where unknown: they can be read from the bytes",
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
        """Return the object's user metadata: all that the event says but the keyframes."""
        fields = self.model_dump(exclude={"keyframes", "type"}, exclude_none=True)
        return {name.replace("_", "-"): str(value) for name, value in fields.items()}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> Self:
        """Rebuild the event from an object's metadata; pydantic's error where it does not fit."""
        fields: dict[str, object] = {k.replace("-", "_"): v for k, v in metadata.items()}
        if fields.get("version") == "1":
            fields["version"] = 1
        return cls.model_validate(fields)


class RunStarted(Event):
    """A capture session began."""

    type: Literal["run-started"] = "run-started"
    camera: CameraId
    run: RunId
    started_ms: Ms = Field(description="UTC of the first picture")
    edge: str = Field(min_length=1, max_length=100, description="name of the recording device")
    stream: Literal["main", "sub"] = Field("main", description="which feed of the camera")

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera


class RunEnded(Event):
    """A capture session ended; also stands in S3 as the run's end.json, written before."""

    type: Literal["run-ended"] = "run-ended"
    camera: CameraId
    run: RunId
    ended_ms: Ms = Field(description="UTC of the end of the last fragment, or of the failure")
    last_seq: int = Field(ge=-1, le=99_999_999, description="-1: the run has no fragment")
    reason: Reason = Field(description="why, in words fit for the timeline")
    given_up: Ranges = Field(
        default_factory=list, description="seqs that the spool gave up and nobody will send"
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
