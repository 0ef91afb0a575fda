"""The project's test camera in the cameras' network of a site in namespaces."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.cameras import rtsp_python
from local.folder import project_root
from tests.infra.edge_site import Namespace
from tests.lab.cloud import inside

PORT = 8554


@contextmanager
def camera(space: Namespace, address: str, clip: Path, work: Path, *, loop: bool) -> Iterator[str]:
    """Serve a clip by RTSP at /gate; return its URL. Without `loop` each session plays it once."""
    python = rtsp_python()
    assert python is not None, "GStreamer's RTSP server is not installed: make setup"
    config = work / "camera.json"
    served = [{"name": "gate", "file": str(clip), "loop": loop}]
    config.write_text(
        json.dumps({"host": address, "port": PORT, "locked_port": PORT + 1, "cameras": served})
    )
    process = subprocess.Popen(
        ["ip", "netns", "exec", space.name, python,
         str(project_root() / "local/rtsp_server.py"), str(config)],
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        with inside(space):
            while not _answers(address):
                assert process.poll() is None, "the camera ended"
                assert time.monotonic() < deadline, "the camera does not answer"
                time.sleep(0.1)
        yield f"rtsp://{address}:{PORT}/gate"
    finally:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, PORT), timeout=2):
            return True
    except OSError:
        return False
