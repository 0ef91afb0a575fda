"""What a camera provides to capture: streams, and packets as they arrive."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from edge_bridge.config import CameraConfig
from edge_bridge.rtsp.errors import CameraError
from media.access_unit import AccessUnit
from media.fragmenter import SET_GOP
from media.packet import AnyPacket


class ClipEndedError(CameraError):
    """A clip was played to its end: no more packets will come."""


class ReaderChangedError(CameraError):
    """Another reader can read the camera: it is opened again at once."""


class Source(Protocol):
    """An open camera."""

    video: VideoStream
    audio: AudioStream | None
    audio_problem: str
    """Why offered audio is not recorded; empty if it is, or if there is none."""
    low_latency: bool
    """Whether each packet is wanted at once, as at first: inference analyses the stream. If not,
    several packets may come together, each with its own arrival. May be changed at any time."""

    def packets(self) -> Iterator[tuple[AnyPacket, int]]:
        """Yield packets, each with the UTC (ms) of its arrival, in decoding order.

        Always ends with a CameraError, which holds the reason.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


@runtime_checkable
class BatchSource(Source, Protocol):
    """An open camera of which one read may bring several frames."""

    def batches(self) -> Iterator[Sequence[AccessUnit | tuple[AnyPacket, int]]]:
        """Yield what each read brought, video before audio; none is empty. Ends as `packets`."""
        ...


WAITS_FOR_KEYFRAME = f"frames come, waiting for a keyframe: {SET_GOP}"
OnWait = Callable[[str], None]
"""Called about once a second while a camera sends frames, but no keyframe so far; says that."""

SourceOpener = Callable[[CameraConfig, float, threading.Event, Callable[[], int], OnWait], Source]
"""Opens a camera, given: seconds without data until it counts as lost, a stop event, the clock.

Raises CameraError, ConfigError."""
