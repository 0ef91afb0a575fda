"""The whole configuration, and the rules between its sections."""

from collections import Counter
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from domain.identity import SITE_PATTERN
from edge_bridge.config.camera import CameraConfig
from edge_bridge.config.cloud import CloudConfig
from edge_bridge.config.http import HttpConfig
from edge_bridge.config.inference import InferenceConfig, Mask
from edge_bridge.config.remote import CentralConfig
from edge_bridge.config.section import ConfigSection
from edge_bridge.config.spool import SpoolConfig, SpoolLimits
from edge_bridge.config.upload import UploadConfig


class EdgeConfig(ConfigSection):
    """The whole file."""

    site: str = Field(pattern=SITE_PATTERN, description="tenant/site")
    edge: str = Field(
        min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$", description="this device's name"
    )
    cloud: CloudConfig
    spool: SpoolConfig
    cameras: list[CameraConfig] = Field(default_factory=list, max_length=256)
    fragment_s: float = Field(4, ge=2, le=10, description="target length of a fragment, seconds")
    no_data_s: float = Field(
        10, ge=2, le=120, description="seconds without data after which the camera is reconnected"
    )
    heartbeat_s: int = Field(10, ge=1, le=3_600)
    upload: UploadConfig = Field(default_factory=UploadConfig)
    http: HttpConfig | None = None
    identity_dir: Path | None = Field(
        None,
        description="folder of the device's key and certificate; absent: identity in spool.dir",
    )
    central: CentralConfig | None = Field(
        None,
        description="absent: only this file is used; else cameras and rules come from the catalog",
    )
    inference: InferenceConfig = Field(
        default_factory=lambda: InferenceConfig.model_validate({"enabled": False}),
        description="absent: record only",
    )

    @model_validator(mode="after")
    def _cameras_or_central(self) -> Self:
        if not self.cameras and self.central is None:
            raise ValueError("`cameras` is missing: add at least one camera, or set `central`")
        return self

    @model_validator(mode="after")
    def _cameras_are_distinct(self) -> Self:
        ids = Counter(camera.id for camera in self.cameras)
        if twice := [value for value, count in ids.items() if count > 1]:
            raise ValueError(f"two cameras have the id {twice[0]}")
        seen: dict[object, str] = {}
        for camera in self.cameras:
            for url in filter(None, (camera.url, camera.sub_url)):
                owner = seen.setdefault(_address_key(url), camera.id)
                if owner != camera.id:
                    raise ValueError(f"two cameras have the url {url}: {owner} and {camera.id}")
            if camera.sub_url and _address_key(camera.sub_url) == _address_key(camera.url):
                raise ValueError(
                    f"camera {camera.id}: sub_url is the same as url; use the smaller stream"
                )
        return self

    @model_validator(mode="after")
    def _masks_name_cameras(self) -> Self:
        known = {camera.id for camera in self.cameras}
        known |= {self.camera_id(camera) for camera in self.cameras}
        unknown = sorted(set(self.inference.motion.masks) - known)
        if unknown:
            raise ValueError(
                f"inference.motion.masks names {unknown[0]}, which is not a camera in this file"
            )
        return self

    @property
    def identity_folder(self) -> Path:
        """The folder of this device's key and certificate."""
        return self.spool.dir / "identity" if self.identity_dir is None else self.identity_dir

    def spool_limits(self) -> SpoolLimits:
        """Return the spool's limits, with the priorities of the cameras."""
        return self.spool.limits({self.camera_id(one): one.priority for one in self.cameras})

    def privacy_masks(self) -> dict[str, list[Mask]]:
        """Return the privacy masks of each camera, by its full id."""
        return {self.camera_id(one): one.privacy_masks for one in self.cameras}

    def camera_id(self, camera: CameraConfig) -> str:
        """Return tenant/site/camera."""
        return f"{self.site}/{camera.id}"


def _address_key(url: str) -> object:
    """Return an equal value for two spellings of one address.

    A clip can serve several cameras: their addresses differ after `#`.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return url
    port = parts.port or {"rtsp": 554, "rtsps": 322}.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.path, parts.query
