"""The edge's configuration: one YAML file, unknown keys refused by name."""

import difflib
import re
import types
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from domain.errors import ConfigError
from domain.identity import SITE_PATTERN, SLUG
from edge_bridge.central.config import CentralConfig
from edge_bridge.inference.config import InferenceConfig, Mask
from edge_bridge.passwords import secret
from edge_bridge.spool.room import SpoolLimits
from edge_bridge.upload.config import UploadConfig

_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}


def _bytes(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", value.lower())
        if match is None or match[2] not in _UNITS:
            raise ValueError("write a number of bytes, or one with KiB, MiB, GiB or TiB")
        return int(float(match[1]) * _UNITS[match[2]])
    return value


Size = Annotated[int, BeforeValidator(_bytes)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CameraConfig(_Part):
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


class CloudConfig(_Part):
    """Where fragments and events go. Credentials come from AWS's usual environment and files."""

    bucket: str = Field(min_length=3, description="S3 bucket of the fragments")
    queue_url: str = Field(min_length=8, description="address of the SQS queue")
    region: str = Field("eu-central-1", description="region of bucket and queue")
    s3_endpoint: str | None = Field(None, description="only for stores that are not AWS S3")
    sqs_endpoint: str | None = Field(None, description="only for queues that are not AWS SQS")
    ca_file: Path | None = Field(None, description="PEM file of a certificate authority")


class SpoolConfig(_Part):
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


class HttpConfig(_Part):
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


class EdgeConfig(_Part):
    """The whole file."""

    site: str = Field(pattern=SITE_PATTERN, description="tenant/site")
    edge: str = Field(
        min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$", description="this device's name"
    )
    cloud: CloudConfig
    spool: SpoolConfig
    cameras: list[CameraConfig] = Field(default_factory=list, max_length=256)
    fragment_s: float = Field(4, ge=2, le=10, description="target length of a fragment")
    no_data_s: float = Field(10, ge=2, le=120, description="silence after which a camera is lost")
    heartbeat_s: int = Field(10, ge=1, le=3_600)
    upload: UploadConfig = Field(default_factory=UploadConfig)
    http: HttpConfig | None = None
    central: CentralConfig | None = Field(
        None, description="absent: this file is all; else the catalog's cameras and rules count"
    )
    inference: InferenceConfig = Field(
        default_factory=lambda: InferenceConfig.model_validate({"enabled": False}),
        description="absent: record only",
    )

    @model_validator(mode="after")
    def _cameras_stand_somewhere(self) -> Self:
        if not self.cameras and self.central is None:
            raise ValueError("`cameras` is missing: name one at least, or say where with `central`")
        return self

    @model_validator(mode="after")
    def _cameras_differ(self) -> Self:
        ids = Counter(camera.id for camera in self.cameras)
        if twice := [value for value, count in ids.items() if count > 1]:
            raise ValueError(f"two cameras have the id {twice[0]}")
        seen: dict[object, str] = {}
        for camera in self.cameras:
            for url in filter(None, (camera.url, camera.sub_url)):
                of = seen.setdefault(_same(url), camera.id)
                if of != camera.id:
                    raise ValueError(f"two cameras have the url {url}: {of} and {camera.id}")
            if camera.sub_url and _same(camera.sub_url) == _same(camera.url):
                raise ValueError(f"camera {camera.id}: sub_url is the url; name the smaller stream")
        return self

    @model_validator(mode="after")
    def _masks_are_of_cameras(self) -> Self:
        known = {camera.id for camera in self.cameras}
        known |= {self.camera_id(camera) for camera in self.cameras}
        unknown = sorted(set(self.inference.motion.masks) - known)
        if unknown:
            raise ValueError(f"inference.motion.masks names {unknown[0]}, which is no camera here")
        return self

    def spool_limits(self) -> SpoolLimits:
        """Return the spool's limits, the cameras' priorities among them."""
        return self.spool.limits({self.camera_id(one): one.priority for one in self.cameras})

    def privacy(self) -> dict[str, list[Mask]]:
        """Return the privacy masks of each camera, by its whole id."""
        return {self.camera_id(one): one.privacy_masks for one in self.cameras}

    def camera_id(self, camera: CameraConfig) -> str:
        """Return tenant/site/camera."""
        return f"{self.site}/{camera.id}"


def _same(url: str) -> object:
    """Return what is equal for two spellings of one address; a clip serves many by #name."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return url
    port = parts.port or {"rtsp": 554, "rtsps": 322}.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.path, parts.query


def load(path: Path) -> EdgeConfig:
    """Read a configuration file; relative paths in it count from its folder.

    Raises ConfigError in one sentence that names the key and the remedy.
    """
    return validated(read(path), str(path), path.resolve().parent)


def read(path: Path) -> dict[str, Any]:
    """Return what a YAML file holds, unchecked; ConfigError."""
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        at = getattr(error, "problem_mark", None)
        where = f" (line {at.line + 1})" if at is not None else ""
        raise ConfigError(f"{path} is no YAML{where}: mend it.") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds no settings: begin with edge.example.yaml.")
    return data


def validated(data: Mapping[str, Any], where: str, root: Path) -> EdgeConfig:
    """Check settings that came from `where`; relative paths count from `root`. ConfigError."""
    try:
        config = EdgeConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{where}: {explain(error)}") from None
    return _rooted(config, root)


def explain(error: ValidationError) -> str:
    """Return the first fault of a configuration in a sentence."""
    first = error.errors(include_url=False)[0]
    loc = first["loc"]
    name = ".".join(str(part) for part in loc) or "the file"
    if first["type"] == "extra_forbidden":
        known = _fields_at(loc[:-1])
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(sorted(known))}."
        return f"unknown key `{name}`: {hint}"
    if first["type"] == "missing":
        return f"`{name}` is missing."
    message = first["msg"].removeprefix("Value error, ")
    return f"`{name}`: {message}."


def _fields_at(loc: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = EdgeConfig
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            inner = _model_in(model.model_fields[part].annotation)
            if inner is None:
                return []
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (list, Union, types.UnionType, Annotated):
        for inner in get_args(annotation):
            if (found := _model_in(inner)) is not None:
                return found
    return None


def _rooted(config: EdgeConfig, root: Path) -> EdgeConfig:
    cameras = [
        camera.model_copy(update={"password_file": root / camera.password_file})
        if camera.password_file
        else camera
        for camera in config.cameras
    ]
    spool = config.spool.model_copy(update={"dir": root / config.spool.dir})
    cloud = config.cloud
    if cloud.ca_file:
        cloud = cloud.model_copy(update={"ca_file": root / cloud.ca_file})
    inference = config.inference.rooted(root, spool.dir)
    http = config.http
    if http is not None:
        files = ("password_file", "certificate_file", "key_file")
        named = {name: getattr(http, name) for name in files if getattr(http, name)}
        http = http.model_copy(update={name: root / path for name, path in named.items()})
    return config.model_copy(
        update={
            "cameras": cameras,
            "spool": spool,
            "cloud": cloud,
            "inference": inference,
            "http": http,
            "central": config.central and config.central.rooted(root),
        }
    )
