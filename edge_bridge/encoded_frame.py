"""What a camera encoded: capture hands it to inference, and to live pictures."""

from dataclasses import dataclass, replace

from media.packet import AnyPacket


@dataclass(frozen=True, slots=True)
class CodecParameters:
    """How a stream is encoded: one value for all frames of a run."""

    codec: str
    """FFmpeg's name of the decoder: h264, hevc."""
    extradata: bytes
    """Parameter sets in FFmpeg's format; may be empty."""
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One frame, in decode order."""

    camera: str
    run: str
    packet: AnyPacket | bytes
    """Owned by capture: valid only during the call that offers it, see `with_owned_data`."""
    pts: int
    """90 kHz, unwrapped."""
    at_ms: int
    """UTC of the frame."""
    keyframe: bool
    codec_parameters: CodecParameters

    @property
    def size(self) -> int:
        """Size in bytes."""
        packet = self.packet
        return len(packet) if isinstance(packet, bytes) else packet.size

    @property
    def data(self) -> bytes:
        """The encoded bytes; a copy if capture owns them."""
        return bytes(self.packet)

    def with_owned_data(self) -> "EncodedFrame":
        """Return the frame with its own copy of the bytes, because capture reuses its buffer."""
        return self if isinstance(self.packet, bytes) else replace(self, packet=self.data)


@dataclass(frozen=True, slots=True)
class AudioCodecParameters:
    """How the audio of a run is encoded."""

    codec: str
    """aac or mp3."""
    extradata: bytes
    """AAC: its AudioSpecificConfig; may be empty."""
    sample_rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class EncodedAudio:
    """One frame of audio, as it is recorded."""

    camera: str
    run: str
    data: bytes
    pts: int
    """90 kHz, unwrapped, in the run's time."""
