"""One run's transport stream: FFmpeg's muxer, with its output separated frame by frame.

FFmpeg numbers all packets of a run and interleaves them by DTS. It flushes after every packet. So
each write begins with one video or audio frame, and the first 188 bytes say which. PAT and PMT are
taken out and kept. The fragmenter writes them at the start of each fragment, with counters of their
own.
"""

from collections import deque
from fractions import Fraction
from typing import NamedTuple

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from domain.errors import MediaError
from media import mpegts, native
from media.aac_encoder import COPIED_CODECS, AacEncoder, codec_of
from media.packet import AnyPacket

_VIDEO_PID = 0x100
_PMT_PID = 0x1000
_TABLES = frozenset({mpegts.PAT_PID, 0x10, 0x11, _PMT_PID})
"""PAT, NIT, SDT and PMT."""
_TIME_BASE = Fraction(1, 90_000)
_PCR_HZ = 27_000_000
_BUFFER = 1_024 * mpegts.PACKET
_MAX_AAC_BYTES = 8_191 - 7
"""What an ADTS frame can hold, without its header."""
_OPTIONS = {
    # The times of the stream are ours: FFmpeg adds no offset, and they wrap at 33 bits.
    "mpegts_copyts": "1",
    # An audio frame is written when it comes and not gathered: none crosses a cut.
    "pes_payload_size": "0",
    # FFmpeg writes the tables once; the fragmenter repeats them.
    "pat_period": "100000000",
    "sdt_period": "100000000",
    "mpegts_start_pid": str(_VIDEO_PID),
    "mpegts_pmt_start_pid": str(_PMT_PID),
    "flush_packets": "1",
    # How long video waits for audio that does not come, microseconds.
    "max_interleave_delta": "500000",
}


class MuxedFrame(NamedTuple):
    """What is known of a video frame when it goes into the muxer."""

    pts: int
    dts: int
    keyframe: bool
    arrived_ms: int


class MuxerOutput(NamedTuple):
    """One write of the muxer."""

    data: bytes
    frame: MuxedFrame | None
    """The video frame that begins with `data`, if one does."""
    is_video: bool


class _WriteBuffer:
    """Collects the muxer's writes without a line of Python for each."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.write = self.writes.append


class RunMuxer:
    """The muxer of one run: one video stream, and perhaps one audio stream."""

    def __init__(self, video: VideoStream, audio: AudioStream | None) -> None:
        self._buffer = _WriteBuffer()
        self._frames: deque[MuxedFrame] = deque()
        """Video frames that were muxed and have not come out."""
        self._tables: dict[int, bytes] = {}
        self._counters = {mpegts.PAT_PID: 0, _PMT_PID: 0}
        self._last_is_video = False
        context = video.codec_context
        self._is_hevc = context.codec.canonical_name == "hevc"
        sets = bytes(context.extradata or b"")
        self._parameter_sets = sets if int.from_bytes(sets[:3], "big") <= 1 else b""
        """In Annex B form; FFmpeg puts them before an IDR picture without any."""
        self.audio_codec: str | None = None
        self.audio_problem = ""
        """Why the audio cannot be muxed; then only the video is."""
        self.audio_dropped = 0
        """Audio packets that cannot be muxed."""
        self._encoder: AacEncoder | None = None
        self._audio: AudioStream | None = None
        self.audio_context: AudioCodecContext | None = None
        """The codec of the audio that is muxed: the camera's, or the encoder's."""
        try:
            if audio is not None and not self._open_with_audio(video, audio):
                audio = None
            if audio is None:
                self._open(video)
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(
                f"the stream cannot be put into MPEG-TS ({_error_text(error)})"
            ) from error

    def _open(self, video: VideoStream) -> None:
        self._container = av.open(
            self._buffer, "w", format="mpegts", buffer_size=_BUFFER, options=_OPTIONS
        )
        self._video = self._container.add_stream_from_template(video, opaque=True)

    def _open_with_audio(self, video: VideoStream, audio: AudioStream) -> bool:
        """Open the container with video and audio; return False if the audio prevents it."""
        self._open(video)
        try:
            name = codec_of(audio)
            if name in COPIED_CODECS:
                self._audio = self._container.add_stream_from_template(audio)
                self.audio_codec = name
            else:
                self._encoder = AacEncoder(audio, self._container)
                self._audio = self._encoder.stream
                self.audio_codec = "aac"
            self._container.start_encoding()
            source = audio if self._encoder is None else self._encoder.stream
            self.audio_context = source.codec_context
        except (av.FFmpegError, ValueError, AttributeError) as error:
            # Audio never costs video.
            self.audio_problem = f"it cannot be put into MPEG-TS ({_error_text(error)})"
            self.audio_codec = self._encoder = self._audio = None
            self._buffer = _WriteBuffer()
            return False
        return True

    def encode_audio(self, packet: AnyPacket) -> list[AnyPacket]:
        """Return the packets to mux for an audio packet, on its own timeline."""
        if self._encoder is not None:
            return list(self._encoder.encode(packet))
        if self.audio_codec == "aac" and not 2 <= packet.size <= _MAX_AAC_BYTES:
            self.audio_dropped += 1  # the muxer would end the whole run
            return []
        return [packet]

    def video(self, packet: AnyPacket, arrived_ms: int) -> list[MuxerOutput]:
        """Mux a video packet with its times set; return what came out, in order."""
        if packet.pts is None or packet.dts is None:
            raise MediaError("a video frame has no time stamp")
        self._frames.append(MuxedFrame(packet.pts, packet.dts, packet.is_keyframe, arrived_ms))
        packet.stream = self._video
        return self._mux(packet)

    def video_data(self, data: bytes, frame: MuxedFrame) -> list[MuxerOutput]:
        """Mux a video frame in Annex B form; return what came out, in order."""
        packet = av.Packet(data)
        packet.time_base = _TIME_BASE
        packet.pts, packet.dts = frame.pts, frame.dts
        packet.is_keyframe = frame.keyframe
        self._frames.append(frame)
        packet.stream = self._video
        return self._mux(packet)

    def writer(self, data: bytes, first: MuxedFrame) -> "native.TransportStreamWriter":
        """Return a writer of the extension that muxes the video from now on, without audio.

        FFmpeg muxes the run's first frame too: its tables are kept, and its output is dropped.
        """
        self.video_data(data, first)
        writer = native.TransportStreamWriter(
            self._is_hevc, self._parameter_sets, _pcr_period(self._video.average_rate)
        )
        self._container.close()
        self._buffer = _WriteBuffer()
        return writer

    def audio(self, packet: AnyPacket) -> list[MuxerOutput]:
        """Mux an audio packet with its times set; return what came out, in order."""
        if self._audio is None:
            return []
        packet.stream = self._audio
        return self._mux(packet)

    def close(self) -> list[MuxerOutput]:
        """End the stream; return what still came out."""
        try:
            self._container.close()
        except av.FFmpegError as error:
            raise MediaError(
                f"the end of the stream cannot be muxed ({_error_text(error)})"
            ) from error
        return self._drain()

    def tables(self) -> bytes:
        """Return PAT and PMT with their next continuity counters, for the start of a fragment."""
        tables = b""
        for pid in (mpegts.PAT_PID, _PMT_PID):
            tables += mpegts.with_counter(self._tables[pid], self._counters[pid])
            self._counters[pid] = (self._counters[pid] + 1) % 16
        return tables

    def _mux(self, packet: AnyPacket) -> list[MuxerOutput]:
        try:
            self._container.mux_one(packet)
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(
                f"a packet of the camera is malformed ({_error_text(error)})"
            ) from error
        return self._drain()

    def _drain(self) -> list[MuxerOutput]:
        writes = self._buffer.writes
        outputs = [self._output(data) for data in writes]
        writes.clear()
        return outputs

    def _output(self, data: bytes) -> MuxerOutput:
        pid = mpegts.pid_of(data)
        if pid in _TABLES:
            data = self._without_tables(data)
            if not data:
                return MuxerOutput(data, None, False)
            pid = mpegts.pid_of(data)
        if not data[1] & 0x40:  # no payload unit start: the last frame continues
            return MuxerOutput(data, None, self._last_is_video)
        self._last_is_video = pid == _VIDEO_PID
        frame = self._frames.popleft() if self._last_is_video else None
        return MuxerOutput(data, frame, self._last_is_video)

    def _without_tables(self, data: bytes) -> bytes:
        at = 0
        while at < len(data) and (pid := mpegts.pid_of(data, at)) in _TABLES:
            self._tables[pid] = data[at : at + mpegts.PACKET]
            at += mpegts.PACKET
        return data[at:]


def _pcr_period(frame_rate: Fraction | None) -> int:
    """Return how far apart FFmpeg writes the program clock: whole frames, less than 0.1 s.

    In ticks of 27 MHz; 1 means at each frame.
    """
    if not frame_rate:
        return 1
    frame = -(-_PCR_HZ * frame_rate.denominator // frame_rate.numerator)
    return max(frame * (_PCR_HZ // 10 // frame), 1)


def _error_text(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
