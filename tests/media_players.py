"""Players of other projects: each plays a playlist to its end and returns the pictures shown."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.footage import numbers_in, read_number

WIDTH, HEIGHT = 192, 128
UNPRIVILEGED_UID = 65_534
"""VLC refuses to run as root."""


@dataclass(frozen=True)
class MediaPlayer:
    """A player's command for a playlist's URL and the file that it writes."""

    name: str
    program: str
    file: str
    command: Callable[[str, Path], Sequence[str]]
    drops_last: int = 0
    """How many of the last pictures may be missing where time stamps begin again or end.

    VLC's stream output loses them of any file. Its screen loses more.
    """

    requires_times: bool = False
    """It ends where a segment has no times, such as the empty one of a gap in a live list."""

    @property
    def is_installed(self) -> bool:
        """Whether this machine has it."""
        return shutil.which(self.program) is not None

    def play(self, url: str, folder: Path, within_s: float) -> list[int | None]:
        """Play to the end; return the numbers of the pictures in the order shown.

        AssertionError where it does not end or reports an error.
        """
        folder.mkdir()
        unprivileged = self.program == "cvlc" and os.geteuid() == 0
        if unprivileged:
            shutil.chown(folder, UNPRIVILEGED_UID)
            for each in folder.parents:
                if each.stat().st_uid == os.geteuid() and not each.stat().st_mode & 0o001:
                    each.chmod(0o711)  # pytest's folders are its user's only
        target = folder / self.file
        try:
            done = subprocess.run(
                self.command(url, target),
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)},
                user=UNPRIVILEGED_UID if unprivileged else None,
                timeout=within_s,
            )
        except subprocess.TimeoutExpired as error:
            text = (error.output or b"").decode(errors="replace")
            raise AssertionError(f"{self.name} did not end: {text[-2_000:]}") from None
        text = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{self.name}: {text[-2_000:]}"
        return _pictures(target)


def _pictures(path: Path) -> list[int | None]:
    if path.is_dir():
        return [read_number(cv2.imread(str(each), 0)) for each in sorted(path.iterdir())]
    if path.suffix != ".grey":
        return list(numbers_in(path))
    pictures = np.fromfile(path, np.uint8).reshape(-1, HEIGHT, WIDTH)
    return [read_number(each) for each in pictures]


def _ffmpeg(url: str, target: Path) -> Sequence[str]:
    grey = ("-f", "rawvideo", "-pix_fmt", "gray", "-fps_mode", "passthrough", str(target))
    return ["ffmpeg", "-nostdin", "-v", "warning", "-i", url, "-map", "0:v", *grey]


def _mpv(url: str, target: Path) -> Sequence[str]:
    images = ("--vo=image", "--vo-image-format=png", f"--vo-image-outdir={target}")
    timing = ("--untimed", "--framedrop=no", "--no-audio")
    return ["mpv", "--no-config", "--msg-level=all=warn", *images, *timing, url]


def _vlc(url: str, target: Path) -> Sequence[str]:
    output = f"#std{{access=file,mux=ts,dst={target}}}"
    return ["cvlc", "-v", "--no-audio", "--play-and-exit", "--sout", output, url]


def _gstreamer(playbin: str) -> Callable[[str, Path], Sequence[str]]:
    def command(url: str, target: Path) -> Sequence[str]:
        sink = f"videoconvert ! video/x-raw,format=GRAY8 ! filesink location={target}"
        audio = "audio-sink=fakesink"
        return ["gst-launch-1.0", "-q", playbin, f"uri={url}", audio, f"video-sink={sink}"]

    return command


PLAYERS = [
    MediaPlayer("ffmpeg", "ffmpeg", "shown.grey", _ffmpeg),
    MediaPlayer("mpv", "mpv", "shown", _mpv),
    # What its multiplexer holds, 1.5 s, is lost at a discontinuity; on a quiet machine it is less.
    MediaPlayer("vlc", "cvlc", "shown.ts", _vlc, drops_last=15),
    MediaPlayer("gstreamer", "gst-launch-1.0", "shown.grey", _gstreamer("playbin")),
    MediaPlayer(
        "gstreamer3",
        "gst-launch-1.0",
        "shown.grey",
        _gstreamer("playbin3"),
        requires_times=True,
    ),
]
