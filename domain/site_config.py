"""A site's configuration as the catalog stores it: one canonical text, identified by its digest."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from domain.errors import ConfigError

SITE_KEYS = ("cameras", "fragment_s", "no_data_s", "inference", "upload")
"""The keys that the catalog may store; all others stay in the device's own file."""
ENV_PREFIX = "CAMERA_"
"""Prefix of the environment variables that a site's configuration may name."""
MAX_BYTES = 1 << 20

_PASSWORD = re.compile(r"(?i)(?:^|[/?&;])(?:pass|passwd|password|pwd)=[^&/;]")


class ConfigRefusedError(ConfigError):
    """A device must not take an offered configuration.

    `code`: unsigned, no-key, unknown-key, forged, older, changed or early.
    """

    def __init__(self, code: str, text: str) -> None:
        """`text`: what is wrong, and what to do."""
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class SiteVersion:
    """One version of one site's configuration."""

    version: int
    digest: str
    """SHA-256 of `text`, hex."""
    text: str
    """The document as canonical JSON."""

    def document(self) -> dict[str, Any]:
        """Return the document; raises ConfigError if the text does not match its digest."""
        try:
            document = json.loads(self.text)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or digest_of(self.text) != self.digest:
            raise ConfigError(f"version {self.version} of the site's configuration is corrupt.")
        return document

    def has_camera(self, name: str) -> bool:
        """Return whether it configures the camera with this id (the last part of the full id)."""
        return self.without_cameras({name}) != self

    def without_cameras(self, names: Collection[str]) -> "SiteVersion":
        """Return this version without the cameras with these ids (the last part of the full id).

        Where it has none of them, it is returned unchanged.
        """
        if not names:
            return self
        document = self.document()
        cameras = document.get("cameras", [])
        left = [each for each in cameras if each.get("id") not in names]
        if len(left) == len(cameras):
            return self
        text = canonical({**document, "cameras": left})
        return SiteVersion(self.version, digest_of(text), text)


@dataclass(frozen=True, slots=True)
class ConfigSignature:
    """Who signed a version, and from when it holds."""

    key: str
    """Id of the public key."""
    not_before_ms: int
    """UTC; a device waits until then."""
    value: bytes
    """64 bytes, Ed25519."""


@dataclass(frozen=True, slots=True)
class Successor:
    """A newer configuration key, signed by the key before it."""

    public_key: bytes
    """Raw, 32 bytes."""
    signed_by: str
    """Id of the key before it."""
    value: bytes
    """64 bytes, Ed25519."""


@dataclass(frozen=True, slots=True)
class OfferedConfig:
    """What the cloud offers to a device: a version, its signature, and what is outside of it."""

    version: SiteVersion
    signature: ConfigSignature | None = None
    disabled: frozenset[str] = frozenset()
    """Cameras that people have disabled: the last parts of their ids. Not signed."""
    successors: tuple[Successor, ...] = ()
    """Rotations of the key, the oldest first."""

    def effective(self, *, may_disable: bool = True) -> SiteVersion:
        """Return the version to apply. ConfigError where it is corrupt."""
        return self.version.without_cameras(self.disabled if may_disable else ())


def canonical(document: Mapping[str, Any]) -> str:
    """Return the document as canonical JSON; raises ConfigError if it is too large or no JSON."""
    try:
        text = json.dumps(
            document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the configuration cannot be written as JSON: {error}.") from None
    if len(text.encode()) > MAX_BYTES:
        raise ConfigError(f"the configuration has more than {MAX_BYTES >> 10} KiB.")
    return text


def digest_of(text: str) -> str:
    """Return the SHA-256 of a canonical text, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def check_secrets(document: Mapping[str, Any]) -> None:
    """Raise ConfigError if a document contains a password, or names one outside its folder.

    The document may be invalid in all other respects.
    """
    cameras = document.get("cameras")
    for camera in cameras if isinstance(cameras, list) else ():
        if not isinstance(camera, dict):
            continue
        who = f"camera {str(camera.get('id', ''))[:63]}"
        for key in ("url", "sub_url"):
            if _PASSWORD.search(str(camera.get(key, ""))):
                raise ConfigError(
                    f"{who}: its {key} contains a password, which must not be in the catalog. Use "
                    f"`username` and `password_file` or `password_env` instead."
                )
        file = camera.get("password_file")
        if file is not None and not _inside(str(file)):
            raise ConfigError(
                f"{who}: password_file {str(file)[:200]!r} must be a path inside the device's "
                "folder `central.files`: relative, without `..`."
            )
        variable = camera.get("password_env")
        if variable is not None and not str(variable).startswith(ENV_PREFIX):
            raise ConfigError(
                f"{who}: password_env {str(variable)[:100]!r} must begin with {ENV_PREFIX}: the "
                "configuration must not send other variables of the device to a camera."
            )


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(path.strip()) and not pure.is_absolute() and ".." not in pure.parts
