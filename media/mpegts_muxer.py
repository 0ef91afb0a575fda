"""One run's transport stream: FFmpeg's muxer, told apart picture by picture.

FFmpeg numbers all packets of a run and interleaves them by DTS; flushed after every packet, each
of its writes begins with a packet of one picture or one piece of sound, so a look at the first
188 bytes tells pictures from the rest. PAT and PMT are taken out and kept: whoever cuts the
stream puts them, counted by their own counters, where a slice begins.
"""

from collections import deque
from typing import NamedTuple

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from domain.errors import MediaError
from media import mpegts
from media.aac_encoder import PASSES, AacEncoder, codec_of
from media.packet import AnyPacket

_VIDEO_PID = 0x100
_PMT_PID = 0x1000
_TABLES = frozenset({mpegts.PAT_PID, 0x10, 0x11, _PMT_PID})
"""PAT, NIT, SDT and PMT."""
_BUFFER = 1_024 * mpegts.PACKET
_OPTIONS = {
    # Times of the stream are ours: no offset is added, and they wrap at 33 bits by themselves.
    "mpegts_copyts": "1",
    # A piece of sound is written when it comes, not gathered: none crosses a cut.
    "pes_payload_size": "0",
    # Tables come once; the cutter repeats them.
    "pat_period": "100000000",
    "sdt_period": "100000000",
    "mpegts_start_pid": str(_VIDEO_PID),
    "mpegts_pmt_start_pid": str(_PMT_PID),
    "flush_packets": "1",
    # How long pictures wait for sound that does not come, microseconds.
    "max_interleave_delta": "500000",
}


class MuxedFrame(NamedTuple):
    """What is known of a picture when it goes into the muxer."""

    pts: int
    dts: int
    key: bool
    arrived_ms: int


class MuxerOutput(NamedTuple):
    """Bytes that came out of the muxer; `picture` where one begins with them."""

    data: bytes
    picture: MuxedFrame | None
    video: bool


class _WriteBuffer:
    """Takes the muxer's writes, without a line of Python for each."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.write = self.writes.append


class RunMuxer:
    """The muxer of one run: one video stream, perhaps one of sound."""

    def __init__(self, video: VideoStream, audio: AudioStream | None) -> None:
        self._sink = _WriteBuffer()
        self._waiting: deque[MuxedFrame] = deque()
        self._tables: dict[int, bytes] = {}
        self._counters = {mpegts.PAT_PID: 0, _PMT_PID: 0}
        self._video_piece = False
        self.audio_codec: str | None = None
        self._encoder: AacEncoder | None = None
        self._audio: AudioStream | None = None
        try:
            self._container = av.open(
                self._sink, "w", format="mpegts", buffer_size=_BUFFER, options=_OPTIONS
            )
            self._video = self._container.add_stream_from_template(video, opaque=True)
            if audio is not None:
                name = codec_of(audio)
                if name in PASSES:
                    self._audio = self._container.add_stream_from_template(audio)
                    self.audio_codec = name
                else:
                    self._encoder = AacEncoder(audio, self._container)
                    self._audio = self._encoder.stream
                    self.audio_codec = "aac"
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"the stream cannot be put into MPEG-TS ({_said(error)})") from error

    def encode_sound(self, packet: AnyPacket) -> list[AnyPacket]:
        """Return the packets to be muxed for a packet of sound, on its own time line."""
        return [packet] if self._encoder is None else list(self._encoder.encode(packet))

    def picture(self, packet: AnyPacket, arrived_ms: int) -> list[MuxerOutput]:
        """Mux a picture whose times are set; return what came out, in order."""
        if packet.pts is None or packet.dts is None:
            raise MediaError("a picture has no time")
        self._waiting.append(MuxedFrame(packet.pts, packet.dts, packet.is_keyframe, arrived_ms))
        packet.stream = self._video
        return self._mux(packet)

    def sound(self, packet: AnyPacket) -> list[MuxerOutput]:
        """Mux a packet of sound whose times are set; return what came out, in order."""
        if self._audio is None:
            return []
        packet.stream = self._audio
        return self._mux(packet)

    def close(self) -> list[MuxerOutput]:
        """End the stream; return what still came out."""
        try:
            self._container.close()
        except av.FFmpegError as error:
            raise MediaError(f"the stream's end could not be muxed ({_said(error)})") from error
        return self._drain()

    def tables(self) -> bytes:
        """Return PAT and PMT with their next counters, to stand where a slice begins."""
        out = b""
        for pid in (mpegts.PAT_PID, _PMT_PID):
            out += mpegts.with_counter(self._tables[pid], self._counters[pid])
            self._counters[pid] = (self._counters[pid] + 1) % 16
        return out

    def _mux(self, packet: AnyPacket) -> list[MuxerOutput]:
        try:
            self._container.mux_one(packet)
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"a packet of the camera is malformed ({_said(error)})") from error
        return self._drain()

    def _drain(self) -> list[MuxerOutput]:
        writes = self._sink.writes
        pieces = [self._piece(data) for data in writes]
        writes.clear()
        return pieces

    def _piece(self, data: bytes) -> MuxerOutput:
        pid = mpegts.pid_of(data)
        if pid in _TABLES:
            data = self._without_tables(data)
            if not data:
                return MuxerOutput(data, None, False)
            pid = mpegts.pid_of(data)
        if not data[1] & 0x40:
            return MuxerOutput(data, None, self._video_piece)
        self._video_piece = pid == _VIDEO_PID
        picture = self._waiting.popleft() if self._video_piece else None
        return MuxerOutput(data, picture, self._video_piece)

    def _without_tables(self, data: bytes) -> bytes:
        at = 0
        while at < len(data) and (pid := mpegts.pid_of(data, at)) in _TABLES:
            self._tables[pid] = data[at : at + mpegts.PACKET]
            at += mpegts.PACKET
        return data[at:]


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
