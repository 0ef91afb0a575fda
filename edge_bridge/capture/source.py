"""What a camera is to capture: streams, and packets as they arrive."""

from collections.abc import Iterator
from typing import Protocol

from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from edge_bridge.rtsp.errors import CameraError
from media.packet import AnyPacket


class ClipEndedError(CameraError):
    """A clip has been played to its end: nothing will come again."""


class Source(Protocol):
    """An open camera."""

    video: VideoStream
    audio: AudioStream | None
    low_latency: bool
    """Whether each packet is wanted at once (somebody looks at it), as it is at first; where not,
    some may be handed on together, each with its own arrival. May be changed at any time."""

    def packets(self) -> Iterator[tuple[AnyPacket, int]]:
        """Yield packets, each with the UTC (ms) of its arrival, in decode order.

        Raises CameraError at the end, whatever it is.
        """
        ...

    def close(self) -> None:
        """Hang up."""
        ...
