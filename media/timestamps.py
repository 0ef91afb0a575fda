"""A run's time stamps: from the camera's time bases to unwrapped ticks of 90 kHz.

The first recorded keyframe's DTS becomes START_TICKS. So no time of the run is negative. This holds
for the program clock too, which is ahead of the video. Audio is shifted by the same amount.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction

from av.video.stream import VideoStream

from domain.errors import MediaError
from media.audio_alignment import AudioAlignment
from media.packet import AnyPacket
from media.stamp_correction import StampCorrector

HZ = 90_000
TIME_BASE = Fraction(1, HZ)
START_TICKS = 10 * HZ
_MAX_HELD = 60
"""Video frames without DTS that wait for one that has it."""
_MAX_AUDIO_APART_TICKS = 10 * HZ
_IN_TICKS = (HZ, HZ)
"""A time base of 1/90000, as in RTSP: nothing must be converted."""
_MAX_REORDER_TICKS = 10 * HZ
"""A frame is shown at most this long after it is decoded; with more its PTS is wrong."""


class DiscontinuityError(MediaError):
    """The run's time cannot continue; the same connection can begin a new run."""


class ParametersChangedError(DiscontinuityError):
    """The video's parameter sets changed at a keyframe; it is the first of a new run."""

    def __init__(self, text: str, video: VideoStream) -> None:
        super().__init__(text)
        self.video = video
        """The video as it is from now on."""


class TimestampNormalizer:
    """Puts the packets of one run on one timeline."""

    def __init__(self, corrector: StampCorrector | None = None, *, with_audio: bool = True) -> None:
        """`corrector` is the connection's: what it learned holds for the next run too."""
        self._corrector = corrector or StampCorrector()
        self._alignment = AudioAlignment()
        self._with_audio = with_audio
        self._arrived_ms = 0
        self._shift: int | None = None
        """From the camera's ticks to the run's."""
        self._base: tuple[int, int] | None = None
        """The video's time base as ticks of 90 kHz, numerator and denominator."""
        self._held: list[AnyPacket] = []
        """Video frames without DTS."""
        self._video_dts: int | None = None
        self._video_delta = HZ // 25
        self._audio_dts: int | None = None
        self.audio_dropped = 0
        """Audio packets left out: their times go back, or are far from the video's."""

    def video(self, packet: AnyPacket, arrived_ms: int) -> Iterable[AnyPacket]:
        """Return the video packets that now have their times, in decode order.

        A frame without DTS waits for one that has it. Time stamps that cannot be right are
        corrected. Raises MediaError if the frames have no PTS. An iterator computes each packet
        when asked.
        """
        self._arrived_ms = arrived_ms
        dts = packet.dts
        if dts is None or self._held:
            return self._resolve_held(packet)
        return (self._place_timed(packet, dts),)

    def _resolve_held(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        if packet.dts is None:
            self._held.append(packet)
            if len(self._held) <= _MAX_HELD:
                return
            if any(waiting.pts is None for waiting in self._held):
                raise MediaError(
                    "the camera sends video without time stamps: update its firmware or "
                    "choose another stream of it"
                )
            packet = self._held.pop()
            packet.dts = packet.pts
        if packet.dts is None:
            raise MediaError("a video frame has no time stamp")
        if packet.duration:
            self._video_delta = max(_ticks(packet.duration, packet), 1)
        known = _ticks(packet.dts, packet)
        held = self._held
        self._held = []
        for waiting, time in zip(held, self._times_before(known, len(held)), strict=True):
            shown = _ticks(waiting.pts, waiting) if waiting.pts is not None else time
            yield self._place(waiting, max(shown, time), time)
        yield self._place_timed(packet, packet.dts)

    def _place_timed(self, packet: AnyPacket, dts: int) -> AnyPacket:
        """Place a packet that has a DTS, in its own time base."""
        numerator, denominator = self._base or self._read_base(packet)
        pts, duration = packet.pts, packet.duration
        if duration:
            self._video_delta = max(duration * numerator // denominator, 1)
        dts = dts * numerator // denominator
        return self._place(packet, dts if pts is None else pts * numerator // denominator, dts)

    def _read_base(self, packet: AnyPacket) -> tuple[int, int]:
        """Read the time base of the first packet: reading is slow, and a stream's never changes."""
        base = packet.time_base
        if base is None:
            raise MediaError("a packet has no time base")
        self._base = base.numerator * HZ, base.denominator
        return self._base

    def audio(self, packet: AnyPacket, arrived_ms: int) -> bool:
        """Set an audio packet's times; return False if it is unusable, and count it."""
        if self._shift is None or self._video_dts is None or packet.pts is None:
            return False
        duration = _ticks(packet.duration, packet) if packet.duration else 0
        pts = _ticks(packet.pts, packet) + self._shift
        pts += self._alignment.correction(pts, duration, arrived_ms)
        far = abs(pts - self._video_dts) > _MAX_AUDIO_APART_TICKS
        if pts < 0 or far or (self._audio_dts is not None and pts <= self._audio_dts):
            self.audio_dropped += 1
            return False
        self._audio_dts = pts
        packet.time_base = TIME_BASE
        packet.pts = packet.dts = pts
        packet.duration = duration
        return True

    def _times_before(self, known: int, count: int) -> list[int]:
        """Return the times of `count` frames before the one at `known` (camera's ticks)."""
        step = self._video_delta
        if self._video_dts is not None and self._shift is not None:
            span = known - (self._video_dts - self._shift)
            step = max(min(step, span // (count + 1)), 1)
        return [known - step * (count - at) for at in range(count)]

    def _place(self, packet: AnyPacket, pts: int, dts: int) -> AnyPacket:
        """Set a video packet's times, given in ticks of the camera."""
        pts, dts = self.place(pts, dts, self._arrived_ms)
        if self._base != _IN_TICKS:
            packet.time_base = TIME_BASE
        packet.pts, packet.dts = pts, dts
        packet.duration = self._video_delta
        return packet

    def place(self, pts: int, dts: int, arrived_ms: int) -> tuple[int, int]:
        """Return the PTS and DTS in the run of the next video frame, in decoding order.

        Given are those of the camera, in ticks of 90 kHz. Call it once for each frame.
        """
        dts = min(dts, pts)
        correction = self._corrector.correction(dts, arrived_ms)
        if pts - dts > _MAX_REORDER_TICKS:
            pts = dts
        pts, dts = pts + correction, dts + correction
        if self._shift is None:
            self._shift = START_TICKS - dts
        pts, dts = pts + self._shift, dts + self._shift
        if self._video_dts is not None and dts <= self._video_dts:
            # The muxer needs a DTS that grows: jitter moves the frame by one tick.
            dts = self._video_dts + 1
            pts = max(pts, dts)
        self._video_dts = dts
        if self._with_audio:
            self._alignment.note_video(dts, arrived_ms)
        return pts, dts


def _ticks(value: int | None, packet: AnyPacket) -> int:
    if value is None or packet.time_base is None:
        raise MediaError("a packet has no time base")
    base = packet.time_base
    return value * base.numerator * HZ // base.denominator
