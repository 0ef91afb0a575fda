"""Builds images with buildah or Docker."""

import json
import os
import subprocess
import time
import tomllib
from pathlib import Path

from local.images.debian_bases import ensure_bases
from local.images.engine import Engine
from local.images.image_list import Image

OUTPUT = Path("build/images")
"""What is known of the built images: their sizes, SBOMs. Ignored by git."""
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def build(image: Image, engine: Engine, tag: str, bases: str) -> dict[str, object]:
    """Build one image; return its id, its size and the seconds it took."""
    arguments = ensure_bases(engine) if bases == "debian" else {}
    # A proxy of the network signs with an authority that this machine trusts. It is lent to the
    # build, and no layer keeps it.
    lends = bases == "debian" and _AUTHORITIES.exists()
    if lends:
        for name in ("PIP_CERT", "CARGO_HTTP_CAINFO", "NPM_CONFIG_CAFILE"):
            arguments[name] = str(_AUTHORITIES)
    command = [
        *(["docker", "build"] if engine.builder == "docker" else _buildah(engine, image, lends)),
        *(part for name, value in labels().items() for part in ("--label", f"{name}={value}")),
        *(part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")),
        "--file", str(image.dockerfile), "--target", image.target,
        "--tag", f"{image.name}:{tag}", ".",
    ]  # fmt: skip
    OUTPUT.mkdir(parents=True, exist_ok=True)
    log = OUTPUT / f"{image.name}.log"
    began = time.monotonic()
    with log.open("w") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        tail = "\n".join(log.read_text().splitlines()[-25:])
        raise SystemExit(f"images: {image.name} cannot be built (see {log}):\n{tail}")
    built = _inspect(engine, f"{image.name}:{tag}")
    return {
        "image": f"{image.name}:{tag}",
        "id": built["id"],
        "size_bytes": built["size"],
        "seconds": round(time.monotonic() - began, 1),
    }


def labels() -> dict[str, str]:
    """Return the labels that depend on the commit: version, revision, source."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    revision = _git("rev-parse", "HEAD")
    if revision and _git("status", "--porcelain"):
        revision += "-changed"
    # A checkout's own remote may have a password in it: the source is named by who publishes.
    found = {
        "version": str(project["version"]),
        "revision": revision,
        "source": os.environ.get("VIGIL_SOURCE_URL", ""),
    }
    return {f"org.opencontainers.image.{name}": value for name, value in found.items() if value}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _buildah(engine: Engine, image: Image, lends: bool) -> list[str]:
    # The format of Docker keeps HEALTHCHECK, which OCI's does not have.
    command = [
        "buildah", *engine.options, "bud", "--isolation", "chroot", "--format", "docker",
        "--layers", "--ignorefile", str(image.ignore),
    ]  # fmt: skip
    if lends:
        command += ["--pull-never", "--volume", "/etc/ssl/certs:/etc/ssl/certs:ro"]
    return command


def _inspect(engine: Engine, name: str) -> dict[str, object]:
    if engine.builder == "docker":
        done = subprocess.run(
            ["docker", "image", "inspect", name], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)[0]
        return {"id": found["Id"], "size": found["Size"]}
    found = json.loads(engine.podman("image", "inspect", name))[0]
    return {"id": f"sha256:{found['Id']}", "size": found["Size"]}


def write_sizes(built: list[dict[str, object]]) -> None:
    """Write what was built into build/images/images.json, and print it."""
    file = OUTPUT / "images.json"
    known = (
        {} if not file.exists() else {each["image"]: each for each in json.loads(file.read_text())}
    )
    known |= {str(each["image"]): each for each in built}
    file.write_text(json.dumps(list(known.values()), indent=2) + "\n")
    for each in built:
        print(f"{each['image']:<32} {each['size_bytes']} bytes, {each['seconds']} s, {each['id']}")
