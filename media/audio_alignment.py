"""Keeps a run's audio with its video, by the arrival of both.

Time stamps of audio and video may have clocks of their own: the audio's runs slower, or jumps.
What arrives together belongs together. The least lead of the last seconds says how far the time
stamps are apart: see domain/clock.py.

    audio's lead - video's lead    up to 0.3 s   nothing is changed: sender reports may say so
                                   up to 0.6 s   the audio is moved slowly
                                   more          the audio is moved at once
"""

from collections import deque

_HZ = 90_000
_WINDOW_MS = 2_500
_MIN_WINDOW_MS = 1_500
_TOLERANCE_TICKS = _HZ * 3 // 10
_SLEW_TICKS = _HZ * 6 // 10
_SLEW_DIVISOR = 16
"""The audio is moved by at most a sixteenth of its duration."""


class AudioAlignment:
    """Says by how much the audio of one run must be moved."""

    def __init__(self) -> None:
        self._video = _LeastLead()
        self._audio = _LeastLead()
        self._correction = 0
        self._is_moving = False

    def note_video(self, dts: int, arrived_ms: int) -> None:
        """Note a video frame, in ticks of the run."""
        self._video.note(arrived_ms * 90 - dts, arrived_ms)

    def correction(self, pts: int, duration: int, arrived_ms: int) -> int:
        """Return what to add to an audio packet's PTS, in ticks of the run."""
        self._audio.note(arrived_ms * 90 - pts, arrived_ms)
        video, audio = self._video.least, self._audio.least
        if video is None or audio is None:
            return self._correction
        apart = audio - video - self._correction
        if abs(apart) > _SLEW_TICKS:
            self._correction += apart
        elif abs(apart) > _TOLERANCE_TICKS or self._is_moving:
            most = duration // _SLEW_DIVISOR
            self._correction += max(-most, min(apart, most))
            self._is_moving = abs(apart) > most
        return self._correction


class _LeastLead:
    """The least lead of the last seconds."""

    def __init__(self) -> None:
        self._leads: deque[tuple[int, int]] = deque()
        """(arrival in ms, lead in ticks): each is the least of all that came after it."""
        self._since_ms: int | None = None
        self._last_ms = 0

    @property
    def least(self) -> int | None:
        """The least lead in ticks; None until 1.5 s have come."""
        if self._since_ms is None or self._last_ms - self._since_ms < _MIN_WINDOW_MS:
            return None
        return self._leads[0][1]

    def note(self, lead: int, arrived_ms: int) -> None:
        """Note one packet."""
        leads = self._leads
        # After a pause, or a step of the device's clock, the window begins again.
        if self._since_ms is None or not 0 <= arrived_ms - self._last_ms < _WINDOW_MS:
            leads.clear()
            self._since_ms = arrived_ms
        self._last_ms = arrived_ms
        while leads and leads[-1][1] >= lead:
            leads.pop()
        leads.append((arrived_ms, lead))
        while leads[0][0] < arrived_ms - _WINDOW_MS:
            leads.popleft()
