"""The demo's cameras: which there are, and what plays them."""

from pathlib import Path

from local import clips
from local.cameras import CameraServer, ServedCamera, rtsp_python
from local.ports import Ports
from local.service import Report

_OFFSET_MS = 23_000
"""Cameras that show the same clip are this far apart in it."""


class DemoCameras:
    """So many cameras, each with one of the clips, which are used again and again."""

    def __init__(self, count: int) -> None:
        self._rounds = [divmod(number, len(clips.CLIPS)) for number in range(count)]
        self.server: CameraServer | None = None
        """What plays them over RTSP, from when it is started."""

    @property
    def names(self) -> list[str]:
        """Their names in the site, each once."""
        return [
            clips.CLIPS[clip].name + (f"-{again + 1}" if again else "")
            for again, clip in self._rounds
        ]

    @property
    def titles(self) -> list[str]:
        """What people see instead of the names."""
        return [
            clips.CLIPS[clip].title + (f" {again + 1}" if again else "")
            for again, clip in self._rounds
        ]

    def start(self, folder: Path, ports: Ports, report: Report) -> list[str]:
        """Have them play; return the address of each. Raises VigilError where they do not start."""
        files = [clips.prepare(clip, report) for clip in clips.CLIPS]
        plays = [
            (files[clip], number * _OFFSET_MS) for number, (_, clip) in enumerate(self._rounds)
        ]
        if rtsp_python() is None:
            report(
                "GStreamer's RTSP server is not installed: the clips are played as files instead"
            )
            return [f"{file.as_uri()}?offset_ms={offset}&loop=1" for file, offset in plays]
        cameras: list[ServedCamera] = [
            {"name": name, "file": str(file), "offset_ms": offset}
            for name, (file, offset) in zip(self.names, plays, strict=True)
        ]
        self.server = CameraServer(folder, cameras, ports=ports)
        self.server.launch()
        self.server.wait()
        urls = list(self.server.urls.values())
        report(f"{len(urls)} cameras send over RTSP, the first at {urls[0]}")
        return urls
