"""UTC from a camera's time stamps: a clock filter with minimum delay, and slow slewing.

A picture cannot have been taken after it arrived, and the network only adds delay. So the
picture with the least delay gives the best estimate.

    lead      = arrival - pts                        (both in microseconds)
    UTC (pts) = pts + offset
    offset    = least lead of the first fragment, then slewed towards the least lead of the last
                WINDOW_S seconds, by at most 500 ppm of the media time that passed;
                by up to a tenth of it while the error is more than 1 s

The two clocks have diverged if a picture arrives more than 5 s earlier than the offset allows.
They have also diverged if all pictures of a whole window arrive more than 5 s later. The cause
is a step of NTP or a jump in PTS. Then the run ends and a new one starts. A stall of the network
is neither: after it, pictures with little delay arrive again. See docs/design/time.md.
"""

from collections import deque

SLEW_PPM = 500
FAR_MS = 1_000
"""With a larger error the time follows faster: the camera's clock runs at a wrong rate."""
FAR_SLEW_PPM = 100_000
DIVERGED_MS = 5_000
WINDOW_S = 10
"""Seconds of media time over which the least delay is taken."""
PTS_HZ = 90_000


def pts_to_us(pts: int) -> int:
    """Return ticks of 90 kHz as microseconds, rounded down."""
    return pts * 100 // 9


class RunClock:
    """One run's clock. `observe` every picture, `advance` at each fragment's border."""

    def __init__(self) -> None:
        self._offset_us: int | None = None
        self._least_us: int | None = None
        self._border_us = 0
        self._window: deque[tuple[int, int]] = deque()
        """(second of media time, least lead in it), ascending, at most WINDOW_S of them."""
        self._least_in_window = 0

    @property
    def started(self) -> bool:
        """Whether the first fragment's start has been fixed."""
        return self._offset_us is not None

    def observe(self, pts: int, arrived_ms: int) -> bool:
        """Note one picture's arrival (UTC); False: the clocks have diverged, start a new run."""
        media_us = pts_to_us(pts)
        lead = arrived_ms * 1_000 - media_us
        known = self._offset_us if self._offset_us is not None else self._least_us
        if known is not None and lead < known - DIVERGED_MS * 1_000:
            return False
        self._least_us = lead if self._least_us is None else min(self._least_us, lead)
        self._note(media_us // 1_000_000, lead)
        oldest, newest = self._window[0][0], self._window[-1][0]
        spanned = newest - oldest >= WINDOW_S - 1
        return not (
            self._offset_us is not None
            and spanned
            and self._least_in_window > self._offset_us + DIVERGED_MS * 1_000
        )

    def utc_ms(self, pts: int) -> int:
        """Return a picture's UTC (ms); before the first `advance`, the best estimate so far.

        Raises ValueError before the first picture.
        """
        offset = self._offset_us if self._offset_us is not None else self._least_us
        if offset is None:
            raise ValueError("no picture was observed")
        return (pts_to_us(pts) + offset) // 1_000

    def ticks_to(self, other: "RunClock") -> int:
        """Return what to add to a PTS of this clock to have that of `other` for the same UTC.

        Raises ValueError before either has `started`.
        """
        if self._offset_us is None or other._offset_us is None:
            raise ValueError("the clock has not started")
        return (self._offset_us - other._offset_us) * 9 // 100

    def advance(self, pts: int) -> int:
        """Return the UTC (ms) of a fragment's border at `pts`, slewing since the last border.

        The first call fixes the run's start; borders never go back.
        """
        at_us = pts_to_us(pts)
        if self._offset_us is None:
            if self._least_us is None:
                raise ValueError("no picture was observed")
            self._offset_us = self._least_us
        else:
            error = self._least_in_window - self._offset_us
            ppm = SLEW_PPM if abs(error) <= FAR_MS * 1_000 else FAR_SLEW_PPM
            most = max(at_us - self._border_us, 0) * ppm // 1_000_000
            self._offset_us += max(-most, min(most, error))
        self._border_us = at_us
        return (at_us + self._offset_us) // 1_000

    def _note(self, second: int, lead: int) -> None:
        window = self._window
        if window and second <= window[-1][0]:
            last, least = window[-1]
            if lead < least:
                window[-1] = (last, lead)
                self._least_in_window = min(self._least_in_window, lead)
            return
        window.append((second, lead))
        while second - window[0][0] >= WINDOW_S:
            window.popleft()
        self._least_in_window = min(lead for _, lead in window)
