"""Push the built images to a registry and write the record of the release: `make push`."""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from deploy.release import CHART, RECORD, Release, ReleasedImage, hash_of
from deploy.tools import DeliveryError, report, required, run

IMAGES = Path("build/images/images.json")
_PREFIX = "vigil-"


def push(names: Sequence[str], tag: str, registry: str, store: str, version: str) -> dict[str, str]:
    """Copy images into the registry; return their digests by name (without `vigil-`).

    `store`: where they were built, as skopeo names it: `containers-storage:`, `docker-daemon:`.
    """
    options = ["--dest-tls-verify=false"] if registry.startswith("127.0.0.1:") else []
    digests = {}
    for image in names:
        name = image.removeprefix(_PREFIX)
        with tempfile.NamedTemporaryFile("r", suffix=".digest") as digest:
            run(
                "skopeo", "copy", "--quiet", *options, f"--digestfile={digest.name}",
                f"{store}{image}:{tag}", f"docker://{registry}/vigil/{name}:{version}",
            )  # fmt: skip
            digests[name] = digest.read().strip()
    return digests


def built() -> list[str]:
    """Return the names of the built images, as `make images` recorded them."""
    if not IMAGES.exists():
        raise DeliveryError(f"{IMAGES} is missing: `make images` writes it.")
    return sorted({each["image"].rpartition(":")[0] for each in json.loads(IMAGES.read_text())})


def commit() -> str:
    """Return the commit. Raises DeliveryError where files differ from it."""
    if changed := _git("status", "--porcelain"):
        raise DeliveryError(f"Commit first, a release is of one commit. Changed:\n{changed}")
    return _git("rev-parse", "HEAD")


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def main() -> int:
    """Push all images that were built, and write the record."""
    registry, tag = os.environ.get("REGISTRY", ""), os.environ.get("TAG") or "dev"
    store = os.environ.get("IMAGE_STORE") or "containers-storage:"
    try:
        required({"REGISTRY": registry})
        version = str(tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"])
        digests = push(built(), tag, registry, store, f"v{version}")
        images = {
            name: ReleasedImage(f"{registry}/vigil/{name}", digest)
            for name, digest in digests.items()
        }
        Release(version, commit(), hash_of(CHART), images).write(RECORD)
    except DeliveryError as error:
        print(f"push: {error}", file=sys.stderr)
        return 1
    report(f"push: release {version}, {RECORD}", [str(image) for image in images.values()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
