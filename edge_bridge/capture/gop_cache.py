"""The current GOP of a feed: a viewer who comes first sees a picture at once.

    camera's thread    K . . . K . . ──► kept since the last keyframe
    event loop         somebody watches ─► all of it, then each frame as it comes

The frames are those that were recorded: of the RTSP client no copy is made. What is longer than the
limits is forgotten, and a viewer waits for the next keyframe.
"""

import threading
import time
from collections.abc import Iterable

from edge_bridge.capture.live_sink import LiveSink
from edge_bridge.encoded_frame import AudioCodecParameters, EncodedAudio, EncodedFrame

MAX_BYTES = 6 << 20
"""Of one feed: 10 s at 5 Mbit/s. The queues of a live picture keep no more (GopBuffer)."""
MAX_DEVICE_BYTES = 96 << 20
"""Of all feeds of a device; they share it equally."""
MAX_FRAMES = 1_500
"""With audio: 20 s of both."""

_Kept = EncodedAudio | tuple[EncodedFrame, int, AudioCodecParameters | None]


def bytes_per_feed(cameras: int) -> int:
    """Return how many bytes a feed may keep on a device with so many cameras."""
    return min(MAX_BYTES, MAX_DEVICE_BYTES // max(cameras, 1))


class GopCache:
    """Keeps a feed's frames since its last keyframe, and passes them on to its live sinks."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._sinks: tuple[LiveSink, ...] = ()
        self._kept: list[_Kept] = []
        self._size = 0
        self._began_s = 0.0
        """When the keyframe came."""

    @property
    def is_watched(self) -> bool:
        """Whether somebody watches the feed."""
        return bool(self._sinks)

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._size

    @property
    def age_s(self) -> float | None:
        """Seconds since the keyframe that is kept; None: none is."""
        return time.monotonic() - self._began_s if self._kept else None

    def set_sinks(self, sinks: tuple[LiveSink, ...]) -> None:
        """Give frames to these from now on; a new one first gets what is kept."""
        with self._lock:
            for sink in sinks:
                if sink not in self._sinks:
                    _replay(self._kept, sink)
            self._sinks = sinks

    def video(self, frame: EncodedFrame, dts: int, audio: AudioCodecParameters | None) -> None:
        """Keep a frame, whose bytes do not change any more, and pass it on."""
        with self._lock:
            if frame.keyframe:
                self._forget()
                self._began_s = time.monotonic()
                self._keep((frame, dts, audio), frame.size)
            elif self._kept:
                self._keep((frame, dts, audio), frame.size)
            for sink in self._sinks:
                sink.video(frame, dts, audio)

    def audio(self, frame: EncodedAudio) -> None:
        """Keep a frame of audio, and pass it on."""
        with self._lock:
            if self._kept:
                self._keep(frame, len(frame.data))
            for sink in self._sinks:
                sink.audio(frame)

    def forget(self) -> None:
        """Forget what is kept: a run ended, and its frames become old."""
        with self._lock:
            self._forget()

    def _keep(self, one: _Kept, size: int) -> None:
        self._kept.append(one)
        self._size += size
        if self._size > self.max_bytes or len(self._kept) > MAX_FRAMES:
            self._forget()

    def _forget(self) -> None:
        self._kept = []
        self._size = 0


def _replay(kept: Iterable[_Kept], sink: LiveSink) -> None:
    for each in kept:
        if isinstance(each, EncodedAudio):
            sink.audio(each)
        else:
            sink.video(*each)
