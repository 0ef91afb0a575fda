"""Cutting one run's transport stream into fragments, at keyframes, without transcoding.

    pictures  K . . . . K . . . . K . . . . K
    stream   [PAT PMT K.... K....][PAT PMT K.... K....]
              fragment 0           fragment 1

All fragments of a run are slices of one stream: continuity counters and times go on from one to
the next, so joining is copying bytes. A slice is closed when the smallest PTS of the next one is
certain, for a fragment lasts up to the next one's first picture shown.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from domain.errors import MediaError
from domain.events import Keyframe
from media.mpegts_muxer import MuxedFrame, MuxerOutput, RunMuxer
from media.packet import AnyPacket
from media.parameter_sets import find_sps
from media.timestamps import HZ, TimestampNormalizer

VIDEO_CODECS = ("h264", "hevc")


@dataclass(frozen=True, slots=True)
class FragmentLimits:
    """When to cut, and when to give up waiting for a keyframe."""

    target_ms: int = 4_000
    """Cut at the first keyframe at or after this since the fragment's first."""
    most_ms: int = 60_000
    """A fragment may not last longer: the camera sends too few keyframes."""
    most_bytes: int = 96 << 20
    first_key_ms: int = 20_000
    """A run must begin with a keyframe within this."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """One closed slice. Times are unwrapped ticks of 90 kHz."""

    seq: int
    data: bytes | bytearray
    """Nobody changes it any more."""
    start_pts: int
    """The smallest PTS shown."""
    end_pts: int
    """The next fragment's start_pts; of a run's last, by its own frame rate."""
    frames: int
    keyframes: tuple[Keyframe, ...]
    arrived_ms: int
    """UTC when its first packet arrived."""


@dataclass(slots=True)
class _OpenFragment:
    """The slice being written."""

    seq: int
    key_pts: int
    arrived_ms: int
    data: bytearray
    frames: int = 0
    start_pts: int = 0
    last_pts: int = 0
    last_dts: int = 0
    keyframes: list[list[int]] = field(default_factory=list)
    """[pts, offset, size]; the size grows while the keyframe's packets come."""
    in_keyframe: bool = False

    @property
    def start_certain(self) -> bool:
        """No picture to come can be shown before start_pts: PTS are never below their DTS."""
        return self.last_dts >= self.start_pts


class Fragmenter:
    """One run: `push` packets, take fragments, `finish` once.

    `video` and `audio` are streams of the source. `observe` is called with every recorded picture
    (its packet with times set, before muxing).
    """

    def __init__(
        self,
        video: VideoStream,
        audio: AudioStream | None,
        limits: FragmentLimits,
        observe: Callable[[AnyPacket, int], None] | None = None,
    ) -> None:
        codec = str(video.codec_context.codec.canonical_name)
        if codec not in VIDEO_CODECS:
            raise MediaError(
                f"the camera sends {codec}, which Vigil does not record: set it to H.264 or H.265"
            )
        self.video_codec = codec
        self.width, self.height = video.codec_context.width, video.codec_context.height
        if not (self.width and self.height):
            raise MediaError("the camera sends no parameter sets: its picture's size is unknown")
        self._mux = RunMuxer(video, audio)
        self.audio_codec = self._mux.audio_codec
        self._sound = audio
        self._limits = limits
        self._observe = observe
        self._timeline = TimestampNormalizer()
        self._sps: bytes | None = None
        # In MP4 lengths stand where start codes would, and look like them now and then; there the
        # parameter sets are the stream's, for good.
        self._in_band = bytes(video.codec_context.extradata or b"")[:1] != b"\x01"
        self._first_ms: int | None = None
        self._began = False
        self._seq = 0
        self._open: _OpenFragment | None = None
        self._closing: _OpenFragment | None = None
        self._done: list[Fragment] = []
        """Closed, and not handed out yet."""

    @property
    def audio_dropped(self) -> int:
        """Sound packets left out because their times could not be used."""
        return self._timeline.audio_dropped

    def push(self, packet: AnyPacket, arrived_ms: int) -> Sequence[Fragment]:
        """Take one packet of the source; return the fragments that it closed.

        Raises MediaError, in words fit for the timeline, where the run cannot go on; `finish`
        then still gives what was recorded before.
        """
        if packet.size:
            if self._sound is not None and packet.stream is self._sound:
                self._add_sound(packet)
            else:
                self._add_picture(packet, arrived_ms)
        return self._closed()

    def finish(self) -> Sequence[Fragment]:
        """End the run; return its last fragments, and those that `push` closed as it raised.

        Raises MediaError where the stream's end cannot be muxed; called again, it goes on.
        """
        if self._began:
            self._began = False
            self._take(self._mux.close())
        last, self._open = self._open, None
        if self._closing is not None:
            end = last.start_pts if last is not None else _own_end(self._closing)
            self._close(self._closing, end)
            self._closing = None
        if last is not None and last.frames:
            self._close(last, _own_end(last))
        return self._closed()

    def _add_picture(self, packet: AnyPacket, arrived_ms: int) -> None:
        if self._first_ms is None:
            self._first_ms = arrived_ms
        if not self._began:
            if not packet.is_keyframe:
                if arrived_ms - self._first_ms > self._limits.first_key_ms:
                    raise MediaError(
                        f"no keyframe within {self._limits.first_key_ms // 1_000} s: set the "
                        "camera's keyframe interval (GOP) to a few seconds"
                    )
                return
            self._began = True
        if packet.is_keyframe and self._in_band:
            self._same_parameters(packet)
        for ready in self._timeline.video(packet):
            if self._observe is not None:
                self._observe(ready, arrived_ms)
            self._take(self._mux.picture(ready, arrived_ms))
        self._within_bounds()

    def _add_sound(self, packet: AnyPacket) -> None:
        if not self._began or self.audio_codec is None:
            return
        for encoded in self._mux.encode_sound(packet):
            if self._timeline.audio(encoded):
                self._take(self._mux.sound(encoded))

    def _same_parameters(self, packet: AnyPacket) -> None:
        sps = find_sps(memoryview(packet)[:2_048].tobytes(), self.video_codec)
        if sps is None:
            return
        if self._sps is not None and sps != self._sps:
            raise MediaError("the camera changed its picture's size or coding")
        self._sps = sps

    def _within_bounds(self) -> None:
        if self._open is None:
            return
        lasted_ms = (self._open.last_pts - self._open.key_pts) * 1_000 // HZ
        size = len(self._open.data)
        if lasted_ms > self._limits.most_ms or size > self._limits.most_bytes:
            raise MediaError(
                f"no keyframe for {lasted_ms // 1_000} s and {size >> 20} MiB: set the "
                "camera's keyframe interval (GOP) to a few seconds"
            )

    def _closed(self) -> Sequence[Fragment]:
        if not self._done:
            return ()
        done, self._done = self._done, []
        return done

    def _take(self, pieces: Iterable[MuxerOutput]) -> None:
        for data, picture, video in pieces:
            if picture is not None:
                if self._cuts(picture):
                    self._begin(picture)
                self._begin_picture(picture)
            now = self._open
            if now is None:
                continue  # sound before the run's first keyframe
            if now.in_keyframe and video:
                now.keyframes[-1][2] += len(data)
            now.data += data
            if self._closing is not None and now.start_certain:
                self._close(self._closing, now.start_pts)
                self._closing = None

    def _cuts(self, picture: MuxedFrame) -> bool:
        if self._open is None:
            return True
        lasted = picture.pts - self._open.key_pts
        # A fragment whose start is not certain yet cannot have lasted; never two are closing.
        return picture.key and self._closing is None and lasted * 1_000 >= self._due()

    def _due(self) -> int:
        return self._limits.target_ms * HZ

    def _begin(self, picture: MuxedFrame) -> None:
        self._closing = self._open
        tables = self._mux.tables()
        self._open = _OpenFragment(self._seq, picture.pts, picture.arrived_ms, bytearray(tables))
        self._seq += 1

    def _begin_picture(self, picture: MuxedFrame) -> None:
        now = self._open
        if now is None:
            raise MediaError("a picture came before the run's first keyframe")
        now.start_pts = min(now.start_pts, picture.pts) if now.frames else picture.pts
        now.last_pts = max(now.last_pts, picture.pts)
        now.last_dts = picture.dts
        now.frames += 1
        now.in_keyframe = picture.key
        if picture.key:
            now.keyframes.append([picture.pts, len(now.data), 0])

    def _close(self, piece: _OpenFragment, end_pts: int) -> None:
        keyframes = tuple(
            Keyframe(pts=pts, offset=offset, size=size) for pts, offset, size in piece.keyframes
        )
        self._done.append(
            Fragment(
                seq=piece.seq,
                data=piece.data,
                start_pts=piece.start_pts,
                end_pts=max(end_pts, piece.start_pts),
                frames=piece.frames,
                keyframes=keyframes,
                arrived_ms=piece.arrived_ms,
            )
        )


def _own_end(piece: _OpenFragment) -> int:
    if piece.frames < 2:
        return piece.last_pts + HZ // 25
    return piece.last_pts + max((piece.last_pts - piece.start_pts) // (piece.frames - 1), 1)
