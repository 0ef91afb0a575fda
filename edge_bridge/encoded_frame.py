"""A picture as the camera coded it, on its way from capture to whoever looks at pictures."""

from dataclasses import dataclass, replace

from media.packet import AnyPacket


@dataclass(frozen=True, slots=True)
class CodecParameters:
    """How a stream is coded; one value for all pictures of a run."""

    codec: str
    """As FFmpeg names decoders: h264, hevc."""
    extradata: bytes
    """Parameter sets, as FFmpeg keeps them; may be empty."""
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One picture, in decode order."""

    camera: str
    run: str
    packet: AnyPacket | bytes
    """Of capture, to be read only while the picture is offered: see `with_owned_data`."""
    pts: int
    """90 kHz, unwrapped."""
    at_ms: int
    """UTC of the picture."""
    keyframe: bool
    codec_parameters: CodecParameters

    @property
    def size(self) -> int:
        """Bytes of the picture."""
        packet = self.packet
        return len(packet) if isinstance(packet, bytes) else packet.size

    @property
    def data(self) -> bytes:
        """Its bytes, copied where they are capture's."""
        return bytes(self.packet)

    def with_owned_data(self) -> "EncodedFrame":
        """Return it with bytes of its own, which last: capture's change once they are recorded."""
        return self if isinstance(self.packet, bytes) else replace(self, packet=self.data)
