"""The record of a release: which commit, which images by digest, which chart.

`make push` writes it to build/release/release.json, `make sign` signs it, and all that comes later
reads it. What is not in it is not known, and is not installed.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.tools import DeliveryError

RECORD = Path("build/release/release.json")
CHART = Path("helm/vigil")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class ReleasedImage:
    """An image in a registry, by digest."""

    repository: str
    digest: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True)
class Release:
    """What was built from one commit."""

    version: str
    commit: str
    chart: str
    images: dict[str, ReleasedImage]

    def image_of(self, digest: str) -> str:
        """Return the name of the image with this digest. Raises DeliveryError if there is none."""
        for name, image in self.images.items():
            if image.digest == digest:
                return name
        known = ", ".join(f"{name} {image.digest}" for name, image in self.images.items())
        raise DeliveryError(
            f"{digest} is unknown: release {self.version} has {known}. Name one of them."
        )

    def write(self, path: Path) -> None:
        """Write the record."""
        path.parent.mkdir(parents=True, exist_ok=True)
        images = {
            name: {"repository": image.repository, "digest": image.digest}
            for name, image in self.images.items()
        }
        record = {
            "version": self.version,
            "commit": self.commit,
            "chart": self.chart,
            "images": images,
        }
        path.write_text(json.dumps(record, indent=2) + "\n")


def read(path: Path) -> Release:
    """Read a record. Raises DeliveryError where it is missing or not whole."""
    if not path.exists():
        raise DeliveryError(f"{path} is missing: `make push` writes it, the pipeline brings it.")
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        images = {
            name: ReleasedImage(image["repository"], image["digest"])
            for name, image in record["images"].items()
        }
        release = Release(record["version"], record["commit"], record["chart"], images)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeliveryError(f"{path} is not a record of a release: {error!r}") from error
    for name, image in images.items():
        if not _DIGEST.fullmatch(image.digest):
            raise DeliveryError(f"{path}: {name} has no digest, sha256:…")
    return release


def hash_of(folder: Path) -> str:
    """Return a hash of all files of a folder: names and contents."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{content}  {path.relative_to(folder).as_posix()}\n".encode())
    return f"sha256:{whole.hexdigest()}"
