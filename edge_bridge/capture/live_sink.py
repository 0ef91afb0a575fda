"""What receives a feed's frames while somebody watches it."""

from typing import Protocol

from edge_bridge.encoded_frame import AudioCodecParameters, EncodedAudio, EncodedFrame


class LiveSink(Protocol):
    """Receives a feed's frames while somebody watches it. No method blocks.

    Called by the camera's thread, and by the event loop with what was kept.
    """

    def video(self, frame: EncodedFrame, dts: int, audio: AudioCodecParameters | None) -> None:
        """Take a frame of video, in decode order; `audio`: how its audio is encoded."""
        ...

    def audio(self, frame: EncodedAudio) -> None:
        """Take a frame of audio."""
        ...
