"""Audio and video on one timeline: RTP starts the timestamps of each stream at a random value.

At first, frames that arrive together belong together. Sender reports (RTCP) then say which
timestamps belong to the same instant. Once both streams have one, the reports count.
"""

from edge_bridge.rtsp.rtp import SenderReport, TimestampUnwrapper

VIDEO_CLOCK_HZ = 90_000
_TOLERANCE_MS = 40
"""Up to this difference the audio is not moved."""
_MAX_CORRECTION_MS = 10_000
"""With a larger difference the camera's reports are wrong."""


class AvSync:
    """Computes, for one connection, the offset from the audio's ticks to the video's time."""

    def __init__(
        self, video: TimestampUnwrapper, audio: TimestampUnwrapper, audio_clock_hz: int
    ) -> None:
        self._video = video
        self._audio = audio
        self._audio_clock_hz = audio_clock_hz
        self._offset: int | None = None
        self._video_report: SenderReport | None = None
        self._audio_report: SenderReport | None = None

    def offset(self, video: tuple[int, int], audio: tuple[int, int]) -> int:
        """Return the offset of an audio frame, in ticks of the audio clock.

        Both frames are (ticks, UTC ms of arrival); `video` is the newest one.
        """
        if self._offset is None:
            later_ticks = (audio[1] - video[1]) * self._audio_clock_hz // 1_000
            video_ticks = video[0] * self._audio_clock_hz // VIDEO_CLOCK_HZ
            self._offset = video_ticks + later_ticks - audio[0]
        return self._offset

    def report(self, is_audio: bool, report: SenderReport) -> None:
        """Use a sender report of the audio or the video stream."""
        if is_audio:
            self._audio_report = report
        else:
            self._video_report = report
        if self._offset is None or self._audio_report is None or self._video_report is None:
            return
        apart_us = self._audio_report.utc_us - self._video_report.utc_us
        video_ticks = self._video.peek(self._video_report.rtp_timestamp)
        audio_ticks = self._audio.peek(self._audio_report.rtp_timestamp)
        reported = (
            video_ticks * self._audio_clock_hz // VIDEO_CLOCK_HZ
            + apart_us * self._audio_clock_hz // 1_000_000
            - audio_ticks
        )
        difference_ms = abs(reported - self._offset) * 1_000 // self._audio_clock_hz
        if _TOLERANCE_MS < difference_ms < _MAX_CORRECTION_MS:
            self._offset = reported
