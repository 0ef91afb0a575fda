"""The demo's cameras, and the server that plays their clips."""

from pathlib import Path

from local import clips
from local.cameras import CameraServer, ServedCamera, rtsp_python
from local.ports import Ports
from local.service import Report

_OFFSET_MS = 23_000
"""Time between two cameras that play the same clip."""


class DemoCameras:
    """A number of cameras; each plays one of the clips in turn."""

    def __init__(self, count: int, *, numbered: bool = False) -> None:
        """`numbered`: pictures carry their numbers, and `sent_log` says when each was sent."""
        self._numbered = numbered
        self._rounds = [divmod(number, len(clips.CLIPS)) for number in range(count)]
        self.server: CameraServer | None = None
        """The RTSP server that plays them, once it is started."""

    @property
    def names(self) -> list[str]:
        """Their names in the site, each unique."""
        return [
            clips.CLIPS[clip].name + (f"-{again + 1}" if again else "")
            for again, clip in self._rounds
        ]

    @property
    def titles(self) -> list[str]:
        """Their titles for people."""
        return [
            clips.CLIPS[clip].title + (f" {again + 1}" if again else "")
            for again, clip in self._rounds
        ]

    @staticmethod
    def sent_log(folder: Path, name: str) -> Path:
        """Return the file that says when each picture of a numbered camera was sent."""
        return folder / f"sent-{name}.log"

    def start(self, folder: Path, ports: Ports, report: Report) -> list[str]:
        """Start the server; return the address of each. Raises VigilError if it does not start."""
        files = [clips.prepare(clip, report, numbered=self._numbered) for clip in clips.CLIPS]
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
        if self._numbered:
            for camera in cameras:
                log = self.sent_log(folder, camera["name"])
                log.unlink(missing_ok=True)
                camera["sent_log"] = str(log)
        self.server = CameraServer(folder, cameras, ports=ports)
        self.server.launch()
        self.server.wait()
        urls = list(self.server.urls.values())
        report(f"{len(urls)} cameras are served over RTSP, the first at {urls[0]}")
        return urls
