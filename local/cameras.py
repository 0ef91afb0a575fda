"""RTSP cameras for the demo and the tests, served by one process of their own."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import NotRequired, TypedDict
from urllib.parse import quote

from domain.errors import VigilError
from local.folder import DataFolder
from local.ports import HOST, Ports
from local.process import Process

_SERVER = Path(__file__).with_name("rtsp_server.py")
_NEEDED = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); "
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "assert all(Gst.ElementFactory.find(name) for name in "
    "('qtdemux', 'h264parse', 'rtph264pay', 'appsrc'))"
)


class ServedCamera(TypedDict):
    """A camera to serve at `/name`: a `file` (H.264 or H.265, with or without audio) or a `launch`.

    `launch` is a GStreamer pipeline in parentheses whose payloaders are named pay0, pay1. A file
    is repeated forever. With `loop` false each new session plays it once from its start.
    `offset_ms` is the position in the file at which a camera that loops starts.
    `sent_log` is a file to which a line is appended for each picture that a session sends: its
    number in the clip, and the time (UTC, ns).
    """

    name: str
    file: NotRequired[str]
    launch: NotRequired[str]
    loop: NotRequired[bool]
    offset_ms: NotRequired[int]
    sent_log: NotRequired[str]
    user: NotRequired[str]
    password: NotRequired[str]


@lru_cache
def rtsp_python() -> str | None:
    """Return the Python that has GStreamer's RTSP server, or None if there is none."""
    for python in dict.fromkeys(("/usr/bin/python3", shutil.which("python3") or "")):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            probe = [python, "-c", _NEEDED]
            if (
                python
                and not subprocess.run(
                    probe, capture_output=True, timeout=60, check=False
                ).returncode
            ):
                return python
    return None


class CameraServer:
    """One RTSP server. Its methods block: with an event loop, call them from a thread."""

    def __init__(
        self,
        data: Path,
        cameras: Sequence[ServedCamera],
        *,
        name: str = "cameras",
        ports: Ports | None = None,
    ) -> None:
        """Serve `cameras`; log and port in the data folder have this `name`."""
        self.name = name
        self._folder = DataFolder(data)
        self._cameras = list(cameras)
        self._ports = ports or Ports(self._folder)
        self._process = Process(name, self._folder, stop_within_s=5)
        self._port = self._locked_port = 0

    @classmethod
    def start(
        cls, data: Path, cameras: Sequence[ServedCamera], *, name: str = "cameras"
    ) -> "CameraServer":
        """Return a server that answers; raises VigilError if it does not start."""
        started = cls(data, cameras, name=name)
        started.launch()
        started.wait()
        return started

    def __enter__(self) -> "CameraServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def urls(self) -> Mapping[str, str]:
        """The cameras' addresses by name, with user and password where they have one."""
        return {camera["name"]: self._url(camera) for camera in self._cameras}

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self._process.running

    @property
    def pid(self) -> int | None:
        """The server's process while it runs."""
        return self._process.pid

    def launch(self) -> None:
        """Start the server, on the port that it had, without waiting for it."""
        python = rtsp_python()
        if python is None:
            raise VigilError(
                "GStreamer's RTSP server is not installed. Run `make setup` on a system with apt, "
                "or install gir1.2-gst-rtsp-server-1.0, python3-gi and GStreamer's plugins."
            )
        self._port = self._ports.take(self.name)
        self._locked_port = self._ports.take(f"{self.name}-locked")
        config = f"{self.name}.json"
        ports = {"port": self._port, "locked_port": self._locked_port}
        self._folder.write_json(config, {"host": HOST, **ports, "cameras": self._cameras})
        command = [python, str(_SERVER), str(self._folder.path / config)]
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        self._process.start(command, env=env)

    def wait(self) -> None:
        """Wait until the server answers RTSP."""
        self._process.wait_ready(self._answers, within_s=120)

    def restart(self) -> None:
        """Stop the server (if it runs) and start it again at the same addresses."""
        self.stop()
        self.launch()
        self.wait()

    def stop(self) -> None:
        """Stop the server."""
        self._process.stop()

    def kill(self) -> None:
        """End the server with SIGKILL."""
        self._process.kill()

    def _url(self, camera: ServedCamera) -> str:
        if not camera.get("user"):
            return f"rtsp://{HOST}:{self._port}/{camera['name']}"
        user = f"{quote(camera['user'], '')}:{quote(camera.get('password', ''), '')}"
        return f"rtsp://{user}@{HOST}:{self._locked_port}/{camera['name']}"

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self._port), timeout=2) as connection:
                connection.settimeout(2)
                connection.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
                return connection.recv(64).startswith(b"RTSP/1.0 200")
        except OSError:
            return False
