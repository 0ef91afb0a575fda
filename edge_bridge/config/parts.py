"""The parts of the edge's configuration: a camera, the cloud, the spool, the page."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from domain.identity import SLUG
from edge_bridge.inference.config import Mask
from edge_bridge.passwords import secret
from edge_bridge.spool.room import SpoolLimits

_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}


def _bytes(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", value.lower())
        if match is None or match[2] not in _UNITS:
            raise ValueError("write a number of bytes, or one with KiB, MiB, GiB or TiB")
        return int(float(match[1]) * _UNITS[match[2]])
    return value


Size = Annotated[int, BeforeValidator(_bytes)]


class Part(BaseModel):
    """Settings that go together; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CameraConfig(Part):
    """One camera."""

    id: str = Field(pattern=rf"^{SLUG}$", description="the camera's part of tenant/site/camera")
    url: str = Field(
        min_length=8,
        description="rtsp://host:port/path, or file:///clip.mp4?loop=1&offset_ms=0, a clip that "
        "is played at its own pace",
    )
    sub_url: str | None = Field(
        None,
        min_length=8,
        description="the camera's smaller stream, which local inference looks at instead; same "
        "user, password and transport; never recorded",
    )
    username: str | None = Field(None, min_length=1, description="user of the camera")
    password_file: Path | None = Field(None, description="file that holds the password")
    password_env: str | None = Field(None, description="environment variable of the password")
    transport: Literal["tcp", "udp"] = Field("tcp", description="how RTP travels")
    reader: Literal["auto", "ffmpeg"] = Field(
        "auto",
        description="who reads the stream: our own reader where it can, which costs least, or "
        "always FFmpeg's",
    )
    audio: bool = Field(True, description="record sound where the camera sends it")
    stream: Literal["main", "sub"] = Field("main", description="which feed of the camera this is")
    priority: int = Field(
        5, ge=0, le=9, description="whose footage goes last where the disk is too small; 9: last"
    )

    privacy_masks: list[Mask] = Field(
        default_factory=list,
        max_length=50,
        description="polygons, as fractions of the picture, that nobody may look at: black in all "
        "that is looked at or kept as a picture here; the recording itself is not changed",
    )

    @field_validator("url", "sub_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("rtsp", "rtsps", "file"):
            raise ValueError("must begin with rtsp://, rtsps:// or file:///")
        if "@" in parts.netloc:
            raise ValueError(
                "holds a password: write `username`, and `password_file` or `password_env`, instead"
            )
        try:
            _ = parts.port
        except ValueError:
            raise ValueError("the port is a number up to 65535") from None
        return url

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password_file and self.password_env:
            raise ValueError("give password_file or password_env, not both")
        if (self.password_file or self.password_env) and not self.username:
            raise ValueError("a password needs a `username`")
        return self

    @model_validator(mode="after")
    def _two_streams(self) -> Self:
        if self.sub_url is not None and self.stream == "sub":
            raise ValueError("sub_url is of no use where the sub stream is recorded: leave one out")
        return self

    def password(self) -> SecretStr | None:
        """Read the password now; raises ConfigError where its file or variable is missing."""
        return secret(f"camera {self.id}", self.password_file, self.password_env)


class CloudConfig(Part):
    """Where fragments and events go. Credentials come from AWS's usual environment and files."""

    bucket: str = Field(min_length=3, description="S3 bucket of the fragments")
    queue_url: str = Field(min_length=8, description="address of the SQS queue")
    region: str = Field("eu-central-1", description="region of bucket and queue")
    s3_endpoint: str | None = Field(None, description="only for stores that are not AWS S3")
    sqs_endpoint: str | None = Field(None, description="only for queues that are not AWS SQS")
    ca_file: Path | None = Field(None, description="PEM file of a certificate authority")


class SpoolConfig(Part):
    """The disk that holds fragments until they are in the cloud, and after."""

    dir: Path = Field(description="folder, on a disk that outlives a reboot")
    max_bytes: Size = Field(50 << 30, ge=1 << 20, description="most bytes of fragments")
    free_floor_bytes: Size = Field(2 << 30, ge=0, description="least bytes of the disk left free")
    free_floor_s: int = Field(
        3_600, ge=0, le=86_400,
        description="left free as well: what all cameras bring in so many seconds, as measured, "
        "up to a quarter of the disk",
    )  # fmt: skip
    outbox_max_bytes: Size = Field(64 << 20, ge=1 << 16, description="most bytes of messages")
    own_disk: bool = Field(
        False, description="refuse to start while `dir` lies on the root disk: its own is missing"
    )

    def limits(self, priorities: Mapping[str, int]) -> SpoolLimits:
        """Return the spool's limits; `priorities` are the cameras'."""
        return SpoolLimits(
            self.max_bytes, self.free_floor_bytes, self.outbox_max_bytes, self.free_floor_s,
            priorities,
        )  # fmt: skip


class HttpConfig(Part):
    """Health and metrics for the site's own network, and the page where it has a password."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(ge=0, le=65_535, description="port to listen on; 0: any free one")
    password_file: Path | None = Field(None, description="file that holds the page's password")
    password_env: str | None = Field(None, description="environment variable of that password")
    certificate_file: Path | None = Field(None, description="PEM file; the port then speaks HTTPS")
    key_file: Path | None = Field(None, description="PEM file of the certificate's private key")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.password_file and self.password_env:
            raise ValueError("give password_file or password_env, not both")
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file needs a certificate_file")
        return self

    def password(self) -> SecretStr | None:
        """Read the page's password now; None: no page. Raises ConfigError where it is missing."""
        return secret("http", self.password_file, self.password_env)
