"""A release for tests: tiny images, a registry on loopback, a key."""

import hashlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMIT = "c" * 40


def write_image(folder: Path, content: bytes) -> str:
    """Write an OCI layout, tag v1, with one file in one layer; return its manifest's digest."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict[str, object]:
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        media_type = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}

    file = folder / "content"
    file.write_bytes(content)
    tar = subprocess.run(
        ["tar", "--create", "--mtime=@0", "--directory", folder, "content"],
        check=True,
        capture_output=True,
    ).stdout
    file.unlink()
    layer = put(tar, "layer.v1.tar")
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "config.v1+json"),
        "layers": [layer],
    }
    described = put(json.dumps(manifest).encode(), "manifest.v1+json")
    described["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    return str(described["digest"])


def write_sbom(path: Path) -> None:
    """Write an SBOM without components."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}')


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run Debian's docker-registry; yield host and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "registry.yaml"
    config.write_text(
        json.dumps(
            {
                "version": "0.1",
                "log": {"level": "error", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
                "http": {"addr": f"127.0.0.1:{port}"},
            }
        )
    )
    with subprocess.Popen(["docker-registry", "serve", config]) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/v2/")
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(url: str) -> None:
    until_s = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (OSError, urllib.error.HTTPError):
            assert time.monotonic() < until_s, f"{url} does not answer"
            time.sleep(0.05)
        else:
            return
