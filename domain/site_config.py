"""A site's configuration as the catalog keeps it: one canonical text, known by its digest."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from domain.errors import ConfigError

SITE_KEYS = ("cameras", "fragment_s", "no_data_s", "inference", "upload")
"""What may be kept in the catalog; all else stays in the device's own file."""
ENV_PREFIX = "CAMERA_"
"""How the names of the variables begin that a site's configuration may name."""
MAX_BYTES = 1 << 20

_PASSWORD = re.compile(r"(?i)(?:^|[/?&;])(?:pass|passwd|password|pwd)=[^&/;]")


@dataclass(frozen=True, slots=True)
class SiteVersion:
    """One version of one site's configuration."""

    version: int
    digest: str
    """SHA-256 of `text`, hex."""
    text: str
    """The document as canonical JSON."""

    def document(self) -> dict[str, Any]:
        """Return the document; raises ConfigError where the text is not the one of the digest."""
        try:
            document = json.loads(self.text)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or digest_of(self.text) != self.digest:
            raise ConfigError(f"version {self.version} of the site's configuration is damaged.")
        return document


def canonical(document: Mapping[str, Any]) -> str:
    """Return the document's one text; raises ConfigError where it is too large or no JSON."""
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
    """Refuse a document that holds a password, or names one outside the device's folder for them.

    Raises ConfigError. The document need not be valid in any other respect.
    """
    cameras = document.get("cameras")
    for camera in cameras if isinstance(cameras, list) else ():
        if not isinstance(camera, dict):
            continue
        who = f"camera {str(camera.get('id', ''))[:63]}"
        for key in ("url", "sub_url"):
            if _PASSWORD.search(str(camera.get(key, ""))):
                raise ConfigError(
                    f"{who}: its {key} holds a password, which the catalog must not; write "
                    f"`username` and `password_file` or `password_env`."
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
                f"{who}: password_env {str(variable)[:100]!r} must begin with {ENV_PREFIX}: other "
                "variables of the device are not the configuration's to send to a camera."
            )


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(path.strip()) and not pure.is_absolute() and ".." not in pure.parts
