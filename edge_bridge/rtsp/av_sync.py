"""Sound and pictures on one time line: RTP counts each from a chance beginning.

At first what arrives together belongs together. Once the camera has told for both which of its
moments they are (RTCP's sender reports), that holds.
"""

from edge_bridge.rtsp.rtp import SenderReport, TimestampUnwrapper

PICTURES_HZ = 90_000
_APART_MS = 40
"""So far off they may be, before the sound is moved."""
_MOST_APART_MS = 10_000
"""Further, and the camera's reports are wrong."""


class AvSync:
    """Of one connection: what to add to the sound's ticks to have the pictures' time."""

    def __init__(
        self, pictures: TimestampUnwrapper, sound: TimestampUnwrapper, sound_hz: int
    ) -> None:
        self._pictures, self._sound, self._hz = pictures, sound, sound_hz
        self._shift: int | None = None
        self._of_pictures: SenderReport | None = None
        self._of_sound: SenderReport | None = None

    def arrived(self, picture: tuple[int, int], sound: tuple[int, int]) -> int:
        """Return the shift, in the sound's ticks, for a piece of sound.

        Both are given as (ticks, UTC ms of arrival), the picture as the newest one.
        """
        if self._shift is None:
            late = (sound[1] - picture[1]) * self._hz // 1_000
            self._shift = picture[0] * self._hz // PICTURES_HZ + late - sound[0]
        return self._shift

    def reported(self, of_sound: bool, report: SenderReport) -> None:
        """Take what the camera says of its time, for sound or pictures."""
        if of_sound:
            self._of_sound = report
        else:
            self._of_pictures = report
        if self._shift is None or self._of_sound is None or self._of_pictures is None:
            return
        apart_us = self._of_sound.utc_us - self._of_pictures.utc_us
        moment = self._pictures.near(self._of_pictures.stamp) * self._hz // PICTURES_HZ
        told = moment + apart_us * self._hz // 1_000_000 - self._sound.near(self._of_sound.stamp)
        off_ms = abs(told - self._shift) * 1_000 // self._hz
        if _APART_MS < off_ms < _MOST_APART_MS:
            self._shift = told
