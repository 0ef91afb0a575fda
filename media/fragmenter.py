"""Cuts one run's transport stream into fragments at keyframes, without transcoding.

    frames    K . . . . K . . . . K . . . . K
    stream   [PAT PMT K.... K....][PAT PMT K.... K....]
              fragment 0           fragment 1

All fragments of a run are slices of one stream: continuity counters and times continue from one to
the next. So a joiner only copies bytes. A fragment ends at the smallest PTS of the next one. It is
closed when that PTS is certain.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from domain.errors import MediaError
from domain.events import Keyframe
from media import native
from media.access_unit import AccessUnit
from media.mpegts_muxer import MuxedFrame, MuxerOutput, RunMuxer
from media.packet import AnyPacket
from media.stamp_correction import StampCorrector
from media.timestamps import HZ, ParametersChangedError, TimestampNormalizer
from media.video_probe import describe_change, probe_keyframe

VIDEO_CODECS = ("h264", "hevc")
SET_GOP = "set the camera's keyframe interval (GOP) to a few seconds"
_PARAMETER_SETS_BYTES = 2_048
"""Parameter sets are at the start of an access unit, before its slices."""
PIECE_BYTES = 256 << 10
"""A fragment is handed on in pieces of this size or more: at 4 Mbit/s what two reads bring."""

Observer = Callable[[AnyPacket | bytes, int, bool, int], None]
"""Called with a video frame, its PTS in the run, whether it is a keyframe, and its arrival."""
AudioObserver = Callable[[AnyPacket], None]
"""Called with a frame of audio; its times are those of the run."""
PieceHandler = Callable[[int, bytes], None]
"""Called with a fragment's seq and its next bytes."""


@dataclass(frozen=True, slots=True)
class FragmentLimits:
    """When to cut, and how long to wait for a keyframe."""

    target_ms: int = 4_000
    """Cut at the first keyframe this long after the fragment's first, or later."""
    max_ms: int = 60_000
    """A longer fragment is cut without a keyframe: the next plays from its first keyframe on."""
    max_bytes: int = 96 << 20
    """The same for a larger fragment."""
    first_keyframe_ms: int = 15 * 60_000
    """A run must begin with a keyframe within this time."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """One closed fragment. Times are unwrapped ticks of 90 kHz."""

    seq: int
    data: bytes | bytearray
    """Its bytes, or what follows the pieces. It does not change any more."""
    size: int
    """All its bytes, the pieces too."""
    start_pts: int
    """The smallest PTS."""
    end_pts: int
    """The next fragment's start_pts; for a run's last fragment, estimated from its frame rate."""
    frames: int
    keyframes: tuple[Keyframe, ...]
    arrived_ms: int
    """UTC when its first packet arrived."""


@dataclass(slots=True)
class _FragmentBuilder:
    """The fragment that is written."""

    seq: int
    first_pts: int
    """Of the frame that it begins with."""
    arrived_ms: int
    size: int
    """All its bytes so far."""
    data: bytes | bytearray
    """What was not handed on as a piece, if the writer does not have it."""
    frames: int = 0
    start_pts: int = 0
    last_pts: int = 0
    last_dts: int = 0
    keyframes: list[list[int]] = field(default_factory=list)
    """[pts, offset, size]; the size grows while the keyframe is muxed."""
    in_keyframe: bool = False

    @property
    def start_certain(self) -> bool:
        """Whether no later frame can have a PTS before start_pts: a PTS is never below its DTS."""
        return self.last_dts >= self.start_pts


class Fragmenter:
    """Cuts one run: `push` packets, take fragments, `finish` once.

    `video` and `audio` are streams of the source. `observe` is called with every recorded video
    frame before it is muxed, `observe_audio` with the audio. `corrector` is the connection's.
    With `on_piece` a fragment is handed on in pieces as it grows; then it is complete with the
    `data` of the closed fragment.
    """

    def __init__(
        self,
        video: VideoStream,
        audio: AudioStream | None,
        limits: FragmentLimits,
        observe: Observer | None = None,
        corrector: StampCorrector | None = None,
        *,
        on_piece: PieceHandler | None = None,
        observe_audio: AudioObserver | None = None,
        use_native: bool = native.AVAILABLE,
    ) -> None:
        codec = str(video.codec_context.codec.canonical_name)
        if codec not in VIDEO_CODECS:
            raise MediaError(
                f"the camera sends {codec}, which Vigil does not record: set it to H.264 or H.265"
            )
        self.video_codec = codec
        self.width, self.height = video.codec_context.width, video.codec_context.height
        if not (self.width and self.height):
            raise MediaError("the camera sends no parameter sets: the size of its video is unknown")
        self._muxer = RunMuxer(video, audio)
        self.audio_codec = self._muxer.audio_codec
        self._audio = audio
        self._may_write = use_native and self.audio_codec is None
        """Whether to begin with a writer: only units come then, no packets."""
        self._writer: native.TransportStreamWriter | None = None
        self._limits = limits
        self._observe = observe
        self._observe_audio = observe_audio
        self._on_piece = on_piece
        self._video = video
        self._normalizer = TimestampNormalizer(corrector, with_audio=self.audio_codec is not None)
        self._sps: bytes | None = None
        # MP4 has lengths instead of start codes, and a length may look like a start code. There the
        # parameter sets never change: they are in the stream's extradata.
        self._in_band = bytes(video.codec_context.extradata or b"")[:1] != b"\x01"
        self._first_ms: int | None = None
        self._began = False
        self._seq = 0
        self._open: _FragmentBuilder | None = None
        self._closing: _FragmentBuilder | None = None
        self._ready: list[Fragment] = []
        """Closed fragments that were not returned yet."""
        self.keyframe_note = ""
        """That the camera sends too few keyframes, and what to do; empty if it sends enough."""

    @property
    def waits_for_keyframe(self) -> bool:
        """Whether frames came, but no keyframe so far."""
        return self._first_ms is not None and not self._began and self._open is None

    @property
    def audio_context(self) -> AudioCodecContext | None:
        """The codec of the audio as it is recorded; None: there is none."""
        return self._muxer.audio_context

    @property
    def audio_problem(self) -> str:
        """Why the source's audio is not recorded; empty if it is, or if there is none."""
        return self._muxer.audio_problem

    @property
    def audio_dropped(self) -> int:
        """Audio packets left out because they or their times were unusable."""
        return self._normalizer.audio_dropped + self._muxer.audio_dropped

    def push(self, packet: AnyPacket, arrived_ms: int) -> Sequence[Fragment]:
        """Add one packet of the source; return the fragments that it closed.

        Raises MediaError, with a text for the timeline, if the run cannot continue. `finish` then
        still returns what was recorded before.
        """
        if packet.size:
            if self._audio is not None and packet.stream is self._audio:
                self._add_audio(packet, arrived_ms)
            else:
                self._add_video(packet, arrived_ms)
        return self._take_ready()

    def push_unit(self, unit: AccessUnit) -> Sequence[Fragment]:
        """Add a video frame as the RTSP client gives it; otherwise as `push`."""
        arrived_ms = unit.arrived_ms
        if not (self._began or self._begins(unit.keyframe, arrived_ms)):
            return ()
        if unit.keyframe and self._in_band:
            self._check_sps(unit.data)
        pts, dts = self._normalizer.place(unit.ticks, unit.ticks, arrived_ms)
        if self._observe is not None:
            self._observe(unit.data, pts, unit.keyframe, arrived_ms)
        frame = MuxedFrame(pts, dts, unit.keyframe, arrived_ms)
        if self._may_write:
            self._may_write = False
            self._writer = self._muxer.writer(unit.data, frame)
        if self._writer is None:
            self._add_output(self._muxer.video_data(unit.data, frame))
        else:
            self._write(self._writer, unit.data, frame)
        return self._take_ready()

    def finish(self) -> Sequence[Fragment]:
        """End the run; return its last fragments, and those that `push` closed before it raised.

        Raises MediaError if the stream's end cannot be muxed. Call it again for the rest.
        """
        if self._began:
            self._began = False
            if self._writer is None:
                self._add_output(self._muxer.close())
            elif self._open is not None:
                self._open.data = self._writer.take()
        last = self._open
        self._open = None
        if self._closing is not None:
            end = last.start_pts if last is not None else _estimated_end(self._closing)
            self._close(self._closing, end)
            self._closing = None
        if last is not None and last.frames:
            self._close(last, _estimated_end(last))
        return self._take_ready()

    def _add_video(self, packet: AnyPacket, arrived_ms: int) -> None:
        keyframe = packet.is_keyframe
        if not (self._began or self._begins(keyframe, arrived_ms)):
            return
        if keyframe and self._in_band:
            self._check_sps(packet)
        for ready in self._normalizer.video(packet, arrived_ms):
            if self._observe is not None:
                self._observe(ready, ready.pts or 0, ready.is_keyframe, arrived_ms)
            self._add_output(self._muxer.video(ready, arrived_ms))

    def _begins(self, keyframe: bool, arrived_ms: int) -> bool:
        """Return whether the run begins with this frame; raises MediaError after a long wait."""
        if self._first_ms is None:
            self._first_ms = arrived_ms
        self._began = keyframe
        if not keyframe and arrived_ms - self._first_ms > self._limits.first_keyframe_ms:
            raise MediaError(
                f"no keyframe within {self._limits.first_keyframe_ms // 1_000} s: {SET_GOP}"
            )
        return keyframe

    def _add_audio(self, packet: AnyPacket, arrived_ms: int) -> None:
        if not self._began or self.audio_codec is None:
            return
        for encoded in self._muxer.encode_audio(packet):
            if self._normalizer.audio(encoded, arrived_ms):
                if self._observe_audio is not None:
                    self._observe_audio(encoded)
                self._add_output(self._muxer.audio(encoded))

    def _check_sps(self, keyframe: AnyPacket | bytes) -> None:
        sps = find_sps(memoryview(keyframe)[:_PARAMETER_SETS_BYTES].tobytes(), self.video_codec)
        if sps is None:
            return
        if self._sps is not None and sps != self._sps:
            video = probe_keyframe(bytes(keyframe), self.video_codec)
            if video is None:
                raise MediaError("the camera changed its video's encoding")
            change = describe_change(self._video, video)
            raise ParametersChangedError(f"the camera changed its video's {change}", video)
        self._sps = sps

    def _take_ready(self) -> Sequence[Fragment]:
        if not self._ready:
            return ()
        ready = self._ready
        self._ready = []
        return ready

    def _add_output(self, outputs: Iterable[MuxerOutput]) -> None:
        for data, frame, is_video in outputs:
            if frame is not None:
                if self._must_cut(frame):
                    self._begin_fragment(frame)
                self._begin_frame(frame)
            current = self._open
            if current is None:
                continue  # audio before the run's first keyframe
            if current.in_keyframe and is_video:
                current.keyframes[-1][2] += len(data)
            current.data += data
            current.size += len(data)
            self._close_certain(current)
            if len(current.data) >= PIECE_BYTES and self._on_piece and not self._closing:
                piece = bytes(current.data)
                current.data = bytearray()
                self._on_piece(current.seq, piece)

    def _write(
        self, writer: "native.TransportStreamWriter", data: bytes, frame: MuxedFrame
    ) -> None:
        """Write a frame; the same as to mux it and to add the output."""
        if self._must_cut(frame):
            self._begin_fragment(frame)
        current = self._begin_frame(frame)
        try:
            written = writer.write(data, frame.pts, frame.dts, frame.keyframe)
        except ValueError as error:
            raise MediaError(f"a frame of the camera is malformed ({error})") from error
        if frame.keyframe:
            current.keyframes[-1][2] += written
        current.size += written
        self._close_certain(current)
        if len(writer) >= PIECE_BYTES and self._on_piece and not self._closing:
            self._on_piece(current.seq, writer.take())

    def _close_certain(self, current: _FragmentBuilder) -> None:
        """Close the fragment before the current one, if it is certain where it ends."""
        if self._closing is not None and current.start_certain:
            self._close(self._closing, current.start_pts)
            self._closing = None

    def _must_cut(self, frame: MuxedFrame) -> bool:
        if self._open is None:
            return True
        # A fragment whose start is not certain yet is too short to end. So at most one is closing.
        if self._closing is not None:
            return False
        lasted_ms = (frame.pts - self._open.first_pts) * 1_000 // HZ
        if frame.keyframe:
            return lasted_ms >= self._limits.target_ms
        size = self._open.size
        if lasted_ms < self._limits.max_ms and size < self._limits.max_bytes:
            return False
        self.keyframe_note = (
            f"no keyframe for {lasted_ms // 1_000} s and {size >> 20} MiB: recorded footage plays "
            f"from the next keyframe on; {SET_GOP}"
        )
        return True

    def _begin_fragment(self, frame: MuxedFrame) -> None:
        self._closing = self._open
        tables = self._muxer.tables()
        data: bytes | bytearray = b""
        if self._writer is None:
            data = bytearray(tables)
        else:
            if self._closing is not None:
                self._closing.data = self._writer.take()
            self._writer.append(tables)
        self._open = _FragmentBuilder(self._seq, frame.pts, frame.arrived_ms, len(tables), data)
        self._seq += 1

    def _begin_frame(self, frame: MuxedFrame) -> _FragmentBuilder:
        current = self._open
        if current is None:
            raise MediaError("a video frame came before the run's first keyframe")
        current.start_pts = min(current.start_pts, frame.pts) if current.frames else frame.pts
        current.last_pts = max(current.last_pts, frame.pts)
        current.last_dts = frame.dts
        current.frames += 1
        current.in_keyframe = frame.keyframe
        if frame.keyframe:
            current.keyframes.append([frame.pts, current.size, 0])
        return current

    def _close(self, fragment: _FragmentBuilder, end_pts: int) -> None:
        keyframes = tuple(
            Keyframe(pts=pts, offset=offset, size=size) for pts, offset, size in fragment.keyframes
        )
        self._ready.append(
            Fragment(
                seq=fragment.seq,
                data=fragment.data,
                size=fragment.size,
                start_pts=fragment.start_pts,
                end_pts=max(end_pts, fragment.start_pts),
                frames=fragment.frames,
                keyframes=keyframes,
                arrived_ms=fragment.arrived_ms,
            )
        )


def _estimated_end(fragment: _FragmentBuilder) -> int:
    if fragment.frames < 2:
        return fragment.last_pts + HZ // 25
    return fragment.last_pts + max(
        (fragment.last_pts - fragment.start_pts) // (fragment.frames - 1), 1
    )


def find_sps(data: bytes, codec: str) -> bytes | None:
    """Return the first SPS of an access unit in Annex B form, None if there is none.

    `data` may be its beginning only; `codec` is h264 (ITU-T H.264, 7.4.1) or hevc (H.265, 7.4.2).
    """
    head = data[:_PARAMETER_SETS_BYTES]
    at = head.find(b"\x00\x00\x01")
    while at >= 0 and at + 3 < len(head):
        following = head.find(b"\x00\x00\x01", at + 3)
        unit = head[at + 3 : following if following >= 0 else len(head)].rstrip(b"\x00")
        if unit:
            nal_type = unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F
            if nal_type == (7 if codec == "h264" else 33):
                return unit
            if _is_slice(nal_type, codec):
                return None
        at = following
    return None


def _is_slice(nal_type: int, codec: str) -> bool:
    return 1 <= nal_type <= 5 if codec == "h264" else nal_type < 32
