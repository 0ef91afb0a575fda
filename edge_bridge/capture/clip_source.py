"""A clip played at its own pace by the wall clock, as if it were a camera.

file:///path/clip.mp4?loop=1&offset_ms=20000   loops, and starts 20 s into the clip
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, unquote, urlsplit

import av
from av.container import InputContainer

from domain.errors import ConfigError
from edge_bridge.capture.source import ClipEndedError
from edge_bridge.rtsp.errors import CameraError
from media.packet import AnyPacket

_US = 1_000_000


class ClipSource:
    """Plays a clip once, or in a loop."""

    def __init__(
        self, url: str, audio: bool, stop: threading.Event, now_ms: Callable[[], int]
    ) -> None:
        """Open the clip; raises CameraError, and ConfigError if the address is malformed."""
        self.low_latency = True
        self.audio_problem = ""
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        try:
            self._loop = int(query.pop("loop", ["0"])[0]) != 0
            self._offset_us = int(query.pop("offset_ms", ["0"])[0]) * 1_000
        except ValueError:
            raise ConfigError(f"{url}: loop and offset_ms must be whole numbers.") from None
        if query or self._offset_us < 0:
            raise ConfigError(f"{url}: only loop=0|1 and offset_ms=0.. may follow the path.")
        self._stop = stop
        self._now_ms = now_ms
        try:
            self._container: InputContainer = av.open(unquote(parts.path))
            self.video = self._container.streams.video[0]
        except (av.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a media file"
            raise CameraError(f"the clip {parts.path} cannot be played: {reason}") from None
        except IndexError:
            raise CameraError(f"the clip {parts.path} has no video") from None
        streams = self._container.streams.audio
        self.audio = streams[0] if audio and streams else None

    def packets(self) -> Iterator[tuple[AnyPacket, int]]:
        """Yield packets when they are due; raises ClipEndedError after the last."""
        shift_us = 0
        start_s: float | None = None
        first_us = 0
        seek_us = self._offset_us % max(int(self._container.duration or 0), 1)
        while True:
            self._seek(seek_us)
            seek_us = 0
            end_us = 0
            for packet in self._play_once():
                time_us = _us(packet, packet.dts if packet.dts is not None else packet.pts)
                _shift(packet, shift_us)
                if packet.stream is self.video:
                    end_us = max(end_us, _us(packet, packet.pts) + self._frame_us(packet))
                if start_s is None:
                    start_s = time.monotonic()
                    first_us = time_us
                due_s = start_s + (time_us + shift_us - first_us) / _US
                if self._stop.wait(max(due_s - time.monotonic(), 0)):
                    return
                yield packet, self._now_ms()
            if not self._loop or not end_us:
                raise ClipEndedError("the clip has ended")
            shift_us = end_us

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()

    def _seek(self, to_us: int) -> None:
        with contextlib.suppress(av.FFmpegError):
            self._container.seek(to_us, backward=True)

    def _play_once(self) -> Iterator[AnyPacket]:
        streams = [self.video] if self.audio is None else [self.video, self.audio]
        try:
            for packet in self._container.demux(*streams):
                if packet.size and (packet.dts is not None or packet.pts is not None):
                    yield packet
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or "damaged"
            raise CameraError(f"the clip cannot be read further: {reason}") from None

    def _frame_us(self, packet: AnyPacket) -> int:
        """Return how long a frame is shown."""
        if packet.duration:
            return _us(packet, packet.duration)
        rate = self.video.average_rate
        return int(_US / rate) if rate else _US // 25


def _us(packet: AnyPacket, ticks: int | None) -> int:
    return int((ticks or 0) * packet.time_base * _US) if packet.time_base else 0


def _shift(packet: AnyPacket, by_us: int) -> None:
    if not by_us or not packet.time_base:
        return
    ticks = round(by_us / _US / packet.time_base)
    if packet.pts is not None:
        packet.pts += ticks
    if packet.dts is not None:
        packet.dts += ticks
