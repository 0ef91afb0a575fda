"""The configuration of one camera."""

import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from domain.identity import SLUG
from edge_bridge.config.inference import Mask
from edge_bridge.config.secrets import read_secret
from edge_bridge.config.section import ConfigSection

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class CameraConfig(ConfigSection):
    """One camera."""

    id: str = Field(pattern=rf"^{SLUG}$", description="the camera's part of tenant/site/camera")
    url: str = Field(
        min_length=8,
        description="rtsp://host:port/path, or file:///clip.mp4?loop=1&offset_ms=0, a clip that "
        "is played at its own speed",
    )
    sub_url: str | None = Field(
        None,
        min_length=8,
        description="the camera's smaller stream, for local inference only; same user, password "
        "and transport; never recorded",
    )
    username: str | None = Field(None, min_length=1, description="user of the camera")
    password_file: Path | None = Field(None, description="file that holds the password")
    password_env: str | None = Field(None, description="environment variable of the password")
    tls_fingerprint: str | None = Field(
        None,
        description="SHA-256 of the camera's certificate, hex: rtsps connects to no other one. "
        "The text about a wrong one names the camera's",
    )
    allow_basic: bool = Field(
        True,
        description="false: send the password by Digest only, or to the certificate of "
        "`tls_fingerprint`. Recommended where the camera supports it",
    )
    transport: Literal["tcp", "udp"] = Field("tcp", description="transport of RTP")
    reader: Literal["auto", "ffmpeg"] = Field(
        "auto",
        description="which RTSP client: auto uses our own, which costs least, if it supports the "
        "stream; ffmpeg always uses FFmpeg's",
    )
    audio: bool = Field(True, description="record audio if the camera sends it")
    stream: Literal["main", "sub"] = Field(
        "main", description="which stream of the camera `url` is"
    )
    priority: int = Field(
        5,
        ge=0,
        le=9,
        description="if the disk is too small, footage of the lowest number is deleted first",
    )

    privacy_masks: list[Mask] = Field(
        default_factory=list,
        max_length=50,
        description="polygons, as fractions of the frame, for privacy: black for inference and in "
        "images on this device; the recording itself does not change",
    )

    @field_validator("url", "sub_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("rtsp", "rtsps", "file"):
            raise ValueError("must begin with rtsp://, rtsps:// or file:///")
        if _CONTROL.search(url):
            raise ValueError("contains a line break or another control character: remove it")
        if "@" in parts.netloc:
            raise ValueError(
                "contains a password: remove it, and set `username`, and `password_file` or "
                "`password_env`"
            )
        try:
            _ = parts.port
        except ValueError:
            raise ValueError("the port must be a number up to 65535") from None
        return url

    @field_validator("username")
    @classmethod
    def _user(cls, username: str | None) -> str | None:
        if username is not None and _CONTROL.search(username):
            raise ValueError("contains a line break or another control character: remove it")
        return username

    @field_validator("tls_fingerprint")
    @classmethod
    def _fingerprint(cls, text: str | None) -> str | None:
        if text is None:
            return None
        digits = text.replace(":", "").lower()
        if not re.fullmatch(r"[0-9a-f]{64}", digits):
            raise ValueError("must be a SHA-256: 64 hex digits, with or without colons")
        return digits

    @property
    def needs_own_reader(self) -> bool:
        """Whether FFmpeg must not read it: FFmpeg checks no fingerprint and may send Basic."""
        return self.tls_fingerprint is not None or not self.allow_basic

    @model_validator(mode="after")
    def _own_reader(self) -> Self:
        if self.needs_own_reader and (self.reader != "auto" or self.transport != "tcp"):
            raise ValueError(
                "tls_fingerprint, and allow_basic: false, need reader: auto and transport: tcp"
            )
        urls = [self.url, self.sub_url or self.url]
        if self.tls_fingerprint and not all(url.startswith("rtsps:") for url in urls):
            raise ValueError("tls_fingerprint needs an rtsps:// url")
        return self

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
            raise ValueError("sub_url has no effect if `stream` is sub: remove one of them")
        return self

    def password(self) -> SecretStr | None:
        """Read the password now; raises ConfigError if its file or variable is missing."""
        return read_secret(f"camera {self.id}", self.password_file, self.password_env)
