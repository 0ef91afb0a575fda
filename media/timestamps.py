"""A run's time stamps: from the camera's time bases to unwrapped ticks of 90 kHz.

The first recorded keyframe's DTS becomes START_TICKS, so that no time of the run is negative, not
even the programme clock's, which runs ahead of the pictures. Sound is shifted by as much.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction

from domain.errors import MediaError
from media.packet import AnyPacket

HZ = 90_000
TIME_BASE = Fraction(1, HZ)
START_TICKS = 10 * HZ
_BACK_TICKS = HZ // 2
"""A step back by up to this much is jitter and mended; more is a fault of the camera."""
_HELD = 60
"""Most pictures without DTS that are kept for one that has it."""
_SOUND_APART_TICKS = 10 * HZ
_IN_TICKS = (HZ, HZ)
"""A time base of 1/90000, as RTSP has it: nothing is to be converted."""
_MOST_A_SECOND = 250
"""Pictures in a second of their own time; more, and that time stands still."""


class TimesBrokenError(MediaError):
    """The run's time cannot go on; the same connection can begin a new run."""


class TimestampNormalizer:
    """Puts a run's packets on one time line; one per run."""

    def __init__(self) -> None:
        self._shift: int | None = None
        self._base: tuple[int, int] | None = None
        """The pictures' time base as ticks of 90 kHz, numerator and denominator."""
        self._held: list[AnyPacket] = []
        self._video_dts: int | None = None
        self._second_dts, self._in_second = 0, 0
        self._video_delta = HZ // 25
        self._audio_dts: int | None = None
        self.audio_dropped = 0
        """Sound packets left out because their times ran back or far from the pictures'."""

    def video(self, packet: AnyPacket) -> Iterable[AnyPacket]:
        """Return the packets that now have their times, in decode order; each when asked for.

        A picture without DTS is held until one that has it follows. Raises MediaError where
        pictures never get a PTS, TimesBrokenError where they jump back.
        """
        dts = packet.dts
        if dts is None or self._held:
            return self._with_held(packet)
        return (self._timed(packet, dts),)

    def _with_held(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        if packet.dts is None:
            self._held.append(packet)
            if len(self._held) <= _HELD:
                return
            if any(waiting.pts is None for waiting in self._held):
                raise MediaError(
                    "the camera sends pictures without time stamps: update its firmware or "
                    "choose another stream of it"
                )
            packet = self._held.pop()
            packet.dts = packet.pts
        if packet.dts is None:
            raise MediaError("a picture has no time")
        if packet.duration:
            self._video_delta = max(_ticks(packet.duration, packet), 1)
        known = _ticks(packet.dts, packet)
        held, self._held = self._held, []
        for waiting, time in zip(held, self._between(known, len(held)), strict=True):
            shown = _ticks(waiting.pts, waiting) if waiting.pts is not None else time
            yield self._placed(waiting, max(shown, time), time)
        yield self._timed(packet, packet.dts)

    def _timed(self, packet: AnyPacket, dts: int) -> AnyPacket:
        """Place a packet that has a DTS, in its own time base."""
        of, per = self._base or self._base_of(packet)
        pts, duration = packet.pts, packet.duration
        if duration:
            self._video_delta = max(duration * of // per, 1)
        dts = dts * of // per
        return self._placed(packet, dts if pts is None else pts * of // per, dts)

    def _base_of(self, packet: AnyPacket) -> tuple[int, int]:
        """Look at the first packet's time base; looking is dear, and a stream's never changes."""
        base = packet.time_base
        if base is None:
            raise MediaError("a packet has no time base")
        self._base = base.numerator * HZ, base.denominator
        return self._base

    def audio(self, packet: AnyPacket) -> bool:
        """Give a sound packet its times; False: it cannot be used and is counted."""
        if self._shift is None or self._video_dts is None or packet.pts is None:
            return False
        pts = _ticks(packet.pts, packet) + self._shift
        far = abs(pts - self._video_dts) > _SOUND_APART_TICKS
        if pts < 0 or far or (self._audio_dts is not None and pts <= self._audio_dts):
            self.audio_dropped += 1
            return False
        duration = _ticks(packet.duration, packet) if packet.duration else 0
        self._audio_dts = pts
        packet.time_base = TIME_BASE
        packet.pts = packet.dts = pts
        packet.duration = duration
        return True

    def _between(self, known: int, count: int) -> list[int]:
        """Return times for pictures that came before the one at `known` (camera's ticks)."""
        step = self._video_delta
        if self._video_dts is not None and self._shift is not None:
            room = known - (self._video_dts - self._shift)
            step = max(min(step, room // (count + 1)), 1)
        return [known - step * (count - at) for at in range(count)]

    def _placed(self, packet: AnyPacket, pts: int, dts: int) -> AnyPacket:
        dts = min(dts, pts)
        if self._shift is None:
            self._shift = START_TICKS - dts
        pts, dts = pts + self._shift, dts + self._shift
        if self._video_dts is not None and dts <= self._video_dts:
            back = self._video_dts - dts
            if back > _BACK_TICKS:
                raise TimesBrokenError(f"the camera's time stamps jumped back by {back / HZ:.1f} s")
            dts = self._video_dts + 1
            pts = max(pts, dts)
        self._video_dts = dts
        self._in_second += 1
        if dts - self._second_dts >= HZ:
            self._second_dts, self._in_second = dts, 0
        elif self._in_second > _MOST_A_SECOND:
            raise MediaError(
                "the camera's time stamps stand still: restart it, update its firmware or choose "
                "another stream of it"
            )
        if self._base != _IN_TICKS:
            packet.time_base = TIME_BASE
        packet.pts, packet.dts = pts, dts
        packet.duration = self._video_delta
        return packet


def _ticks(value: int | None, packet: AnyPacket) -> int:
    if value is None or packet.time_base is None:
        raise MediaError("a packet has no time base")
    base = packet.time_base
    return value * base.numerator * HZ // base.denominator
