"""What a camera is to capture: streams, and packets as they arrive."""

from collections.abc import Iterator
from typing import Protocol

from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from domain.errors import MediaError
from media.fragmenter_packet import AnyPacket


class SourceError(MediaError):
    """A camera cannot be read (any more); the text says why and what to do, never a password."""


class SourceRefusedError(SourceError):
    """The camera takes neither user nor password. Many lock a user out who is wrong too often."""


class SourceOverError(SourceError):
    """A clip has been played to its end: nothing will come again."""


class Source(Protocol):
    """An open camera."""

    video: VideoStream
    audio: AudioStream | None
    in_haste: bool
    """Whether each packet is wanted at once (somebody looks at it), as it is at first; where not,
    some may be handed on together, each with its own arrival. May be changed at any time."""

    def packets(self) -> Iterator[tuple[AnyPacket, int]]:
        """Yield packets, each with the UTC (ms) of its arrival, in decode order.

        Raises SourceError at the end, whatever it is.
        """
        ...

    def close(self) -> None:
        """Hang up."""
        ...
